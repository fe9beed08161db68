// What is left between the blocks when tensors of random sizes have come and gone for a long time.
// $TENSORBROKER_BENCH_OPERATIONS says how many creations and deletions; those of one seed are always the same.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

#include "tests/bench/instance.h"
#include "tests/bench/timing.h"

namespace tensorbroker::bench {
namespace {

constexpr std::uint32_t kSeed = 20'240'602;
constexpr std::size_t kLive = 2000;
constexpr double kSmallest = 64;
constexpr double kLargest = 4 << 20;  // sizes are drawn evenly by their logarithm

std::int64_t operations() {
  const char* wanted = std::getenv("TENSORBROKER_BENCH_OPERATIONS");
  return wanted != nullptr ? std::strtoll(wanted, nullptr, 10) : 100'000;
}

void fragmentation(benchmark::State& state) {
  for (auto _ : state) {
    Instance instance("fragmentation", 8ULL << 30);
    Client& client = instance.client();
    std::mt19937_64 random(kSeed);
    std::uniform_real_distribution<double> logarithm(std::log(kSmallest), std::log(kLargest));
    std::vector<bool> there(kLive);
    std::int64_t done = 0;
    for (; done < operations(); ++done) {
      const std::size_t which = random() % kLive;
      const std::string name = "block/" + std::to_string(which);
      if (there[which]) {
        client.remove(name);
      } else {
        client.create(name, {static_cast<std::int64_t>(std::exp(logarithm(random)))}, kUInt8).publish();
      }
      there[which] = !there[which];
    }
    const Stats stats = client.stats();
    state.counters["operations"] = static_cast<double>(done);
    state.counters["live"] = static_cast<double>(stats.live);
    state.counters["used"] = static_cast<double>(stats.used);
    state.counters["used_ratio"] = static_cast<double>(stats.used) / static_cast<double>(stats.live);
  }
}
BENCHMARK(fragmentation)->Iterations(1)->Repetitions(1);

}  // namespace
}  // namespace tensorbroker::bench
