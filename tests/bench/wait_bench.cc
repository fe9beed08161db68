// Waking: from the start of a put in one process to the return of wait() in another.

#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>

#include "tests/bench/instance.h"

namespace tensorbroker::bench {
namespace {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC: one clock for both processes

std::int64_t now_ns() { return Clock::now().time_since_epoch().count(); }

// The waiter answers each version with the time at which it woke, through a mutable tensor.
[[noreturn]] void wait_for_versions(const std::string& name, const std::string& answer) {
  const Client reader = Client::connect(instance_options());
  Tensor woken = reader.open(answer, OpenMode::kReadWrite);
  std::atomic_ref<std::int64_t> stamp(*woken.data_ptr<std::int64_t>());
  std::uint64_t version = 0;
  stamp.store(-1);
  while (const auto next = reader.wait(name, version)) {
    stamp.store(now_ns());
    version = next->version();
  }
  _exit(0);
}

void put_to_wake(benchmark::State& state) {
  const std::string name = "wake/data";
  const std::string answer = "wake/stamp";
  Tensor woken = client().zeros({1}, kInt64, answer);
  std::atomic_ref<std::int64_t> stamp(*woken.data_ptr<std::int64_t>());
  const pid_t child = fork();
  if (child == 0) wait_for_versions(name, answer);
  while (stamp.load() == 0) usleep(1000);
  float value = 0;
  const Tensor source = from_blob(&value, {1}, kFloat32);
  for (auto _ : state) {
    stamp.store(0);
    usleep(200);  // the waiter sleeps by now
    const std::int64_t begin = now_ns();
    client().put(name, source);
    std::int64_t end = 0;
    while ((end = stamp.load()) == 0) usleep(20);
    state.SetIterationTime(static_cast<double>(end - begin) * 1e-9);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  client().remove(name);
  client().remove(answer);
}
BENCHMARK(put_to_wake)->UseManualTime()->Iterations(2000);

}  // namespace
}  // namespace tensorbroker::bench
