// Waking another process: by put(), by a publication alone, and by what the machine has for that, a futex or a word
// that is looked at all the time.
//
// Every time here is one way: from a clock read in the process that wakes to one read in the process that was woken, by
// CLOCK_MONOTONIC in both. One iteration is the median of kSamples such times. The counters `futex_ratio` and
// `word_ratio` are the median of all of them over that of what the machine has, measured just before.

#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proto/futex.h"
#include "tests/bench/instance.h"
#include "tests/bench/publisher.h"

namespace tensorbroker::bench {
namespace {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC: one clock for both processes
using std::chrono::microseconds;

constexpr int kSamples = 100;
constexpr WaitOptions kSpinning{.spin = std::chrono::hours(1)};
constexpr const char* kName = "wake/data";
constexpr const char* kStamp = "wake/stamp";

std::int64_t now_ns() { return Clock::now().time_since_epoch().count(); }

double median(std::vector<std::int64_t> times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return static_cast<double>(*middle);
}

// A child; it ends with the object.
class Process {
 public:
  explicit Process(const std::function<void()>& body) : pid_(fork()) {
    if (pid_ != 0) return;
    body();
    _exit(1);
  }
  ~Process() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

 private:
  const pid_t pid_;
};

// Lets the woken process come to wait again: by sleeping where that is to sleep, too.
void settle(bool spins) {
  if (!spins) {
    usleep(200);
    return;
  }
  for (const auto end = Clock::now() + microseconds(30); Clock::now() < end;) {
  }
}

// The time that the other process left: -1 once it is ready, 0 while there is none.
std::int64_t take(std::atomic_ref<std::int64_t> stamp, bool spins) {
  for (;;) {
    if (const std::int64_t time = stamp.exchange(0)) return time;
    if (!spins) usleep(20);
  }
}

// ---------------------------------------------------------------- what the machine has

// A process that sleeps in futex(2) on a word, or looks at it all the time.
class Bell {
 public:
  explicit Bell(bool spins)
      : spins_(spins),
        shared_(static_cast<Shared*>(
            mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))),
        process_(std::make_unique<Process>([this] { answer(); })) {
    take(std::atomic_ref(shared_->stamp), false);
  }
  ~Bell() {
    process_.reset();
    munmap(shared_, sizeof(Shared));
  }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  std::int64_t sample() {
    settle(spins_);
    const std::int64_t begin = now_ns();
    shared_->word.fetch_add(1);
    if (!spins_) futex_wake_all(shared_->word);
    return take(std::atomic_ref(shared_->stamp), spins_) - begin;
  }

 private:
  struct Shared {
    alignas(64) Word word;
    alignas(64) std::int64_t stamp;
  };

  [[noreturn]] void answer() const {
    const std::atomic_ref stamp(shared_->stamp);
    stamp.store(-1);
    for (std::uint32_t seen = 0;; ++seen) {
      while (futex_value(shared_->word) == seen) {
        if (!spins_) futex_wait(shared_->word, seen, std::chrono::seconds(1));
      }
      stamp.store(now_ns());
    }
  }

  const bool spins_;
  Shared* const shared_;
  std::unique_ptr<Process> process_;
};

// ---------------------------------------------------------------- who waits

// The same in Python, spinning: argv is instance, runtime directory, name, stamp.
constexpr const char* kPythonWaiter = R"(
import sys, time, tensorbroker as tb
client = tb.connect(sys.argv[1], runtime_dir=sys.argv[2], autostart=False)
stamp = client.open(sys.argv[4], "r+").numpy()
version = 0
stamp[0] = -1
while True:
    got = client.wait(sys.argv[3], version, spin=3600.0)
    stamp[0] = time.monotonic_ns()
    version = got.version
    del got
)";

// A process that waits for the versions of kName, and answers each with the time at which it had the tensor.
class Waiter {
 public:
  // `python`: the interpreter to run it in; null for C++.
  Waiter(Instance& instance, bool spins, const char* python = nullptr)
      : spins_(spins),
        stamp_(instance.client().zeros({1}, kInt64, kStamp)),
        process_([&] { python == nullptr ? wait(instance.options(), spins) : exec(instance.options(), python); }) {
    take(stamp(), false);
  }

  template <class Publish>  // returns when it began
  std::int64_t sample(Publish publish) {
    settle(spins_);
    const std::int64_t begin = publish();
    return take(stamp(), spins_) - begin;
  }

 private:
  std::atomic_ref<std::int64_t> stamp() const { return std::atomic_ref(*stamp_.data_ptr<std::int64_t>()); }

  static void wait(const ConnectOptions& options, bool spins) {
    const Client client = Client::connect(options);
    Tensor tensor = client.open(kStamp, OpenMode::kReadWrite);
    const std::atomic_ref stamp(*tensor.data_ptr<std::int64_t>());
    std::uint64_t version = 0;
    stamp.store(-1);
    while (const auto next = client.wait(kName, version, {}, spins ? kSpinning : WaitOptions{})) {
      stamp.store(now_ns());
      version = next->version();
    }
  }

  static void exec(const ConnectOptions& options, const char* python) {
    execlp(python, python, "-c", kPythonWaiter, options.instance.c_str(), options.runtime_dir.c_str(), kName, kStamp,
           nullptr);
  }

  const bool spins_;
  Tensor stamp_;
  const Process process_;
};

// ---------------------------------------------------------------- the benchmarks

template <class Sample>
double median_of(benchmark::State& state, Sample sample) {
  std::vector<std::int64_t> all;
  for (auto _ : state) {
    for (int i = 0; i < kSamples; ++i) all.push_back(sample());
    state.SetIterationTime(median({all.end() - kSamples, all.end()}) * 1e-9);
  }
  return median(all);
}

// What the machine has, before anybody else uses a processor.
double limit(bool spins) {
  Bell bell(spins);
  std::vector<std::int64_t> times(10 * kSamples);
  std::ranges::generate(times, [&] { return bell.sample(); });
  return median(times);
}

const char* ratio_name(bool spins) { return spins ? "word_ratio" : "futex_ratio"; }

// From the store to a word to what saw it. (Of a futex that is futex_wake_up.)
void word_seen(benchmark::State& state) {
  Bell bell(true);
  median_of(state, [&] { return bell.sample(); });
}

// From the call of put(), with its copy and its message to the broker, to the return of wait().
void from_put(benchmark::State& state, bool spins) {
  const double machine = limit(spins);
  Instance instance("wake", 64 << 20);
  Waiter waiter(instance, spins);
  float value = 0;
  const Tensor source = from_blob(&value, {1}, kFloat32);
  const double median = median_of(state, [&] {
    return waiter.sample([&] {
      const std::int64_t begin = now_ns();
      instance.client().put(kName, source);
      return begin;
    });
  });
  state.counters[ratio_name(spins)] = median / machine;
}
void put_to_wake(benchmark::State& state) { from_put(state, false); }
void put_to_spinning_wake(benchmark::State& state) { from_put(state, true); }

// From just before the stores to the catalog, the last of which makes the version visible, to the return of wait(), the
// tensor at hand: publisher.h says who makes them.
void from_publication(benchmark::State& state, bool spins, const char* python) {
  const double machine = limit(spins);
  Instance instance("wake", 64 << 20);
  Waiter waiter(instance, spins, python);
  Publisher publisher(instance, kName);
  const double median = median_of(state, [&] { return waiter.sample([&] { return publisher.publish(); }); });
  state.counters[ratio_name(spins)] = median / machine;
}
void publication_to_wake(benchmark::State& state) { from_publication(state, false, nullptr); }
void publication_to_spinning_wake(benchmark::State& state) { from_publication(state, true, nullptr); }
// $TENSORBROKER_BENCH_PYTHON is an interpreter that has the package.
void publication_to_spinning_wake_python(benchmark::State& state) {
  const char* const python = std::getenv("TENSORBROKER_BENCH_PYTHON");
  if (python == nullptr) return state.SkipWithError("TENSORBROKER_BENCH_PYTHON names no interpreter");
  from_publication(state, true, python);
}

BENCHMARK(word_seen)->UseManualTime()->Iterations(20);
BENCHMARK(put_to_wake)->UseManualTime()->Iterations(20);
BENCHMARK(put_to_spinning_wake)->UseManualTime()->Iterations(20);
BENCHMARK(publication_to_wake)->UseManualTime()->Iterations(20);
BENCHMARK(publication_to_spinning_wake)->UseManualTime()->Iterations(20);
BENCHMARK(publication_to_spinning_wake_python)->UseManualTime()->Iterations(20);

}  // namespace
}  // namespace tensorbroker::bench
