// What the machine itself can do, in the same run: the limits that the other figures stand against.

#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <vector>

#include "proto/futex.h"
#include "tests/bench/placement.h"
#include "tests/bench/timing.h"

namespace tensorbroker::bench {
namespace {

constexpr std::size_t kAlignment = 4096;
constexpr int kMessage = 64;

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};
using Buffer = std::unique_ptr<std::byte, Free>;

Buffer touched_buffer(std::size_t bytes) {
  Buffer buffer(static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes)));
  std::memset(buffer.get(), 1, bytes);
  return buffer;
}

void memcpy_warm(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const Buffer from = touched_buffer(bytes);
  const Buffer to = touched_buffer(bytes);
  for (auto _ : state) {
    std::memcpy(to.get(), from.get(), bytes);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(memcpy_warm)->Arg(4096)->Arg(65536)->Arg(256 << 20)->UseRealTime();

// The tensors of a model, one after another, each to where it was copied before.
void memcpy_300_of_64kib(benchmark::State& state) {
  constexpr std::size_t kBytes = 65536;
  std::vector<Buffer> from;
  std::vector<Buffer> to;
  for (int i = 0; i < 300; ++i) {
    from.push_back(touched_buffer(kBytes));
    to.push_back(touched_buffer(kBytes));
  }
  report_median(state, 60, 1, [&] {
    return timed([&] {
      for (std::size_t i = 0; i < from.size(); ++i) std::memcpy(to[i].get(), from[i].get(), kBytes);
      benchmark::ClobberMemory();
    });
  });
}
BENCHMARK(memcpy_300_of_64kib)->UseManualTime()->Iterations(1);

// Another process that sends back what it gets, of 64 bytes, over a Unix socket.
class Echo {
 public:
  Echo() : made_(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_) == 0), child_([this] { answer(); }) {
    close(ends_[1]);
    sit_apart(child_.pid());
    ask();
  }
  ~Echo() { close(ends_[0]); }
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;

  void ask() {
    char message[kMessage] = {};
    if (!made_ || write(ends_[0], message, sizeof message) != kMessage ||
        read(ends_[0], message, sizeof message) != kMessage) {
      throw std::runtime_error("the peer of the socket is gone");
    }
  }

 private:
  void answer() const {
    char message[kMessage];
    close(ends_[0]);
    while (read(ends_[1], message, sizeof message) > 0 && write(ends_[1], message, sizeof message) > 0) {
    }
  }

  int ends_[2] = {-1, -1};
  bool made_;
  Child child_;
};

void socket_round_trip(benchmark::State& state) {
  Echo echo;
  report_median(state, 10'000, 1, [&] { return timed([&] { echo.ask(); }); });
}
BENCHMARK(socket_round_trip)->UseManualTime()->Iterations(1);

// The same where both have had nothing to do for a while, as a broker has most of the time.
void socket_round_trip_asleep(benchmark::State& state) {
  Echo echo;
  report_median(state, 400, 1, [&] {
    usleep(2000);
    return timed([&] { echo.ask(); });
  });
}
BENCHMARK(socket_round_trip_asleep)->UseManualTime()->Iterations(1);

struct Alarm {
  Word word{0};
  std::atomic<std::int64_t> woken{-1};
};

// From before FUTEX_WAKE in one process to the return of FUTEX_WAIT in another.
void futex_wake_up(benchmark::State& state) {
  const Shared<Alarm> alarm;
  const Child sleeper([&] {
    for (std::uint64_t seen = 0;; ++seen) {
      alarm->woken.store(seen == 0 ? 1 : now_ns());
      while (futex_value(alarm->word) == seen) futex_wait(alarm->word, static_cast<std::uint32_t>(seen), kPatience);
    }
  });
  sit_apart(sleeper.pid());
  const auto is_woken = [&] { return alarm->woken.load() > 0; };
  std::uint64_t rung = 0;
  report_median(state, 1000, 1, [&] {
    wait_until(is_woken);
    alarm->woken.store(0);
    usleep(200);  // the other one sleeps by now
    const std::int64_t begin = now_ns();
    alarm->word.store(++rung);
    futex_wake_all(alarm->word);
    wait_until(is_woken);
    return alarm->woken.load() - begin;
  });
}
BENCHMARK(futex_wake_up)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace tensorbroker::bench
