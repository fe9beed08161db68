// Recovery: from the broker's SIGKILL to the return of a put that its client made at once, which starts the successor;
// and what a reader in another process paid for a get meanwhile, over what it paid before.

#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/filled.h"
#include "tests/bench/instance.h"
#include "tests/bench/timing.h"

namespace tensorbroker::bench {
namespace {

constexpr int kRead = 1000;  // names, of those that there are
constexpr int kBatch = 64;   // gets that are timed together
constexpr std::int64_t kBefore = 300'000'000;

// When a batch began, and how long it took.
struct Sample {
  std::atomic<std::int64_t> begin;
  std::atomic<std::int64_t> ns;
};

// A process that reads all the time, and leaves its last samples in memory that both see.
class Reader {
 public:
  Reader(const ConnectOptions& options, std::int64_t names)
      : samples_(static_cast<Sample*>(
            mmap(nullptr, kSamples * sizeof(Sample), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    child_ = fork();
    if (child_ == 0) read(options, names);
    while (samples_[0].ns.load() == 0) usleep(1000);
  }
  ~Reader() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    munmap(samples_, kSamples * sizeof(Sample));
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // The median time of a get in the batches that began between the two; 0 for none, where the reader had no processor.
  double median_between(std::int64_t from, std::int64_t to) const {
    std::vector<std::int64_t> taken;
    for (std::size_t i = 0; i < kSamples; ++i) {
      const std::int64_t begin = samples_[i].begin.load();
      if (begin >= from && begin < to) taken.push_back(samples_[i].ns.load());
    }
    if (taken.empty()) return 0;
    const auto middle = taken.begin() + static_cast<std::ptrdiff_t>(taken.size() / 2);
    std::nth_element(taken.begin(), middle, taken.end());
    return static_cast<double>(*middle) / kBatch;
  }

 private:
  static constexpr std::size_t kSamples = 1 << 20;

  [[noreturn]] void read(const ConnectOptions& options, std::int64_t names) {
    const Client client = Client::connect(options);
    std::vector<std::string> read;
    for (int i = 0; i < kRead; ++i) read.push_back(filled_name(names / kRead * i));
    std::size_t next = 0;
    for (std::size_t sample = 0;; sample = (sample + 1) % kSamples) {
      const std::int64_t begin = now_ns();
      for (int i = 0; i < kBatch; ++i) {
        benchmark::DoNotOptimize(client.get(read[next]).const_data());
        next = (next + 7) % read.size();
      }
      samples_[sample].ns.store(now_ns() - begin);
      samples_[sample].begin.store(begin);
    }
  }

  Sample* samples_;
  pid_t child_ = -1;
};

void kill_to_put(benchmark::State& state) {
  Instance& instance = filled_with(state.range(0)).instance();
  const Reader reader(instance.options(), state.range(0));
  std::int64_t value = 0;
  const Tensor data = from_blob(&value, {1}, kInt64);
  double ratio = 0;
  int measured = 0;
  for (auto _ : state) {
    const auto broker = static_cast<pid_t>(instance.client().stats().broker_pid);
    usleep(kBefore / 1000);
    const std::int64_t killed = now_ns();
    kill(broker, SIGKILL);
    instance.client().put("recovery/put", data);
    const std::int64_t recovered = now_ns();
    state.SetIterationTime(static_cast<double>(recovered - killed) * 1e-9);
    const double before = reader.median_between(killed - kBefore, killed);
    const double meanwhile = reader.median_between(killed, recovered);
    if (before == 0 || meanwhile == 0) continue;
    ratio += meanwhile / before;
    ++measured;
  }
  state.counters["get_ratio"] = measured > 0 ? ratio / measured : 0;
}
BENCHMARK(kill_to_put)->Arg(1000)->UseManualTime()->Iterations(1);
BENCHMARK(kill_to_put)->Arg(1'000'000)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace tensorbroker::bench
