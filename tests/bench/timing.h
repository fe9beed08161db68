// What the benchmarks measure with: one clock for all processes, medians, other processes.
//
// Whatever waits here ends within kPatience, with an exception that report_median() turns into a failed row.

#ifndef TENSORBROKER_TESTS_BENCH_TIMING_H_
#define TENSORBROKER_TESTS_BENCH_TIMING_H_

#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <new>
#include <vector>

namespace tensorbroker::bench {

inline constexpr std::chrono::seconds kPatience{60};

// CLOCK_MONOTONIC: the same for all processes.
std::int64_t now_ns();

// What `part` of the samples do not exceed. REQUIRES: there are some.
double quantile(std::vector<std::int64_t>& samples, double part);

// Takes `count` samples, each the nanoseconds of `calls` calls, and reports the median of one call as the time of an
// iteration. A mean would be the scheduler's on a machine that others use too.
// REQUIRES: the benchmark has UseManualTime() and Iterations(1).
void report_median(benchmark::State& state, int count, int calls, const std::function<std::int64_t()>& sample);

// The nanoseconds that a call takes.
template <typename Call>
std::int64_t timed(Call&& call) {
  const std::int64_t begin = now_ns();
  call();
  return now_ns() - begin;
}

// Looks now and then until it is so, and returns when; throws after kPatience.
void wait_until(const std::function<bool()>& so);

// A forked process that runs a function, and is killed when this is destroyed.
class Child {
 public:
  explicit Child(const std::function<void()>& run);
  ~Child();
  Child(Child&& other) noexcept : pid_(other.pid_) { other.pid_ = -1; }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

// A value of one page that this process and its children see.
template <typename T>
class Shared {
 public:
  Shared()
      : value_(new (mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0))
                   T()) {}
  ~Shared() { munmap(value_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T* operator->() const { return value_; }

 private:
  T* value_;
};

}  // namespace tensorbroker::bench

#endif  // TENSORBROKER_TESTS_BENCH_TIMING_H_
