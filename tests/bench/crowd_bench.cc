// Many processes: a thousand sessions, and 64 readers of one tensor.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "tests/bench/instance.h"
#include "tests/bench/timing.h"

namespace tensorbroker::bench {
namespace {

constexpr int kSessions = 1000;
constexpr int kReaders = 64;
constexpr int kBatch = 64;

std::int64_t time_of_gets(const Client& client) {
  return timed([&] {
    for (int i = 0; i < kBatch; ++i) benchmark::DoNotOptimize(client.get("crowd").const_data());
  });
}

void put_small(Client& client, const char* name) {
  static const std::vector<float> data(1024, 1.0F);
  client.put(name, from_blob(static_cast<const void*>(data.data()), {1024}, kFloat32));
}

double median_of(int count, const std::function<std::int64_t()>& sample) {
  std::vector<std::int64_t> samples;
  for (int i = 0; i < count; ++i) samples.push_back(sample());
  return quantile(samples, 0.5);
}

// Processes that hold a tensor, each with a session of its own; and what a get and a put of one more take then, over
// what they took before.
void thousand_sessions(benchmark::State& state) {
  for (auto _ : state) {
    Instance instance("crowd", 1ULL << 30);
    Client& client = instance.client();
    put_small(client, "crowd");
    const auto get = [&] { return time_of_gets(client); };
    const auto put = [&] { return timed([&] { put_small(client, "passing"); }); };
    const double get_before = median_of(1000, get);
    const double put_before = median_of(1000, put);
    const Shared<std::atomic<int>> connected;
    std::vector<Child> children;
    const std::int64_t begin = now_ns();
    for (int i = 0; i < kSessions; ++i) {
      children.emplace_back([&] {
        const Tensor held = Client::connect(instance.options()).get("crowd");
        connected->fetch_add(1);
        pause();
      });
    }
    const std::int64_t end = now_ns() + 2 * std::chrono::nanoseconds(kPatience).count();
    while (connected->load() < kSessions && now_ns() < end) usleep(1000);
    state.counters["connected"] = connected->load();
    state.counters["ns_each"] = static_cast<double>(now_ns() - begin) / kSessions;
    state.counters["get_ratio"] = median_of(1000, get) / get_before;
    state.counters["put_ratio"] = median_of(1000, put) / put_before;
  }
}
BENCHMARK(thousand_sessions)->Iterations(1)->Repetitions(1);

struct Readers {
  std::atomic<int> holding{0}, done{0};
  std::atomic<bool> may_read{false};
  std::array<std::atomic<double>, kReaders> median;
};

// Readers that all hold one tensor, and get it once more again and again: the median over them of the processor time
// of a get, over that of one alone.
void readers_of_one_tensor(benchmark::State& state) {
  put_small(client(), "crowd");
  for (auto _ : state) {
    const double alone = median_of(2000, [] { return time_of_gets(client()); });
    const Shared<Readers> readers;
    std::vector<Child> children;
    for (int i = 0; i < kReaders; ++i) {
      children.emplace_back([&, i] {
        const Client reader = Client::connect(instance_options());
        const Tensor held = reader.get("crowd");
        readers->holding.fetch_add(1);
        while (!readers->may_read.load()) usleep(100);
        readers->median[i].store(median_of(2000, [&] { return time_of_gets(reader); }));
        readers->done.fetch_add(1);
        pause();
      });
    }
    wait_until([&] { return readers->holding.load() == kReaders; });
    state.counters["holding"] = static_cast<double>(client().holders(client().list("crowd").front()));
    readers->may_read.store(true);
    wait_until([&] { return readers->done.load() == kReaders; });
    std::vector<std::int64_t> medians;
    for (const auto& median : readers->median) medians.push_back(static_cast<std::int64_t>(median.load()));
    state.counters["get_ratio"] = quantile(medians, 0.5) / alone;
  }
  client().remove("crowd");
}
BENCHMARK(readers_of_one_tensor)->Iterations(1)->Repetitions(1);

}  // namespace
}  // namespace tensorbroker::bench
