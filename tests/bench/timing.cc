#include "tests/bench/timing.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <stdexcept>

namespace tensorbroker::bench {

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

double quantile(std::vector<std::int64_t>& samples, double part) {
  const auto at = samples.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(samples.size() - 1) * part);
  std::nth_element(samples.begin(), at, samples.end());
  return static_cast<double>(*at);
}

void report_median(benchmark::State& state, int count, int calls, const std::function<std::int64_t()>& sample) {
  for (auto _ : state) {
    try {
      std::vector<std::int64_t> samples(static_cast<std::size_t>(count));
      for (std::int64_t& taken : samples) taken = sample();
      state.SetIterationTime(quantile(samples, 0.5) * 1e-9 / calls);
    } catch (const std::exception& error) {
      return state.SkipWithError(error.what());
    }
  }
}

void wait_until(const std::function<bool()>& so) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!so()) {
    if (std::chrono::steady_clock::now() > end) throw std::runtime_error("another process did not answer in time");
    usleep(20);
  }
}

Child::Child(const std::function<void()>& run) : pid_(fork()) {
  if (pid_ != 0) return;
  try {
    run();
  } catch (const std::exception&) {
    _exit(1);  // whoever waits for this process gives up in time
  }
  _exit(0);
}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

}  // namespace tensorbroker::bench
