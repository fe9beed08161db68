// What the machine itself can do, in the same run: the limits that the other figures stand against.

#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>

namespace {

constexpr std::size_t kAlignment = 4096;

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

// One 64-byte message to another process and back over a Unix socket.
void socket_round_trip(benchmark::State& state) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return state.SkipWithError("no socket pair");
  char message[64] = {};
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    while (read(ends[1], message, sizeof message) > 0 && write(ends[1], message, sizeof message) > 0) {
    }
    _exit(0);
  }
  close(ends[1]);
  for (auto _ : state) {
    if (write(ends[0], message, sizeof message) < 0 || read(ends[0], message, sizeof message) < 0) {
      state.SkipWithError("the peer is gone");
      break;
    }
  }
  close(ends[0]);
  waitpid(child, nullptr, 0);
}
BENCHMARK(socket_round_trip)->UseRealTime();

}  // namespace
