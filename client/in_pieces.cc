#include "client/in_pieces.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <span>
#include <thread>

#include "proto/blocked_signals.h"

namespace tensorbroker {
namespace {

struct Pieces {
  const std::size_t count;
  const std::function<void(std::size_t)>& work;
  std::atomic<std::size_t> next{0};

  void take() noexcept {
    for (std::size_t piece = next.fetch_add(1); piece < count; piece = next.fetch_add(1)) work(piece);
  }
};

std::size_t processors() noexcept {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  return static_cast<std::size_t>(std::max(CPU_COUNT(&allowed), 1));
}

// Threads that take pieces, until there are none.
class Helpers {
 public:
  Helpers(Pieces& pieces, std::size_t wanted) noexcept {
    const BlockedSignals blocked;
    try {
      for (std::thread& thread : std::span(threads_).first(std::min(wanted, threads_.size()))) {
        thread = std::thread([&pieces] { pieces.take(); });
      }
    } catch (const std::exception&) {  // no more threads are to be had: those that are there do it
    }
  }
  ~Helpers() {
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

 private:
  std::array<std::thread, kMostAtWork - 1> threads_;
};

}  // namespace

void in_pieces(std::size_t count, const std::function<void(std::size_t)>& work) noexcept {
  Pieces pieces{.count = count, .work = work};
  const Helpers helpers(pieces, std::min(processors(), std::max<std::size_t>(count, 1)) - 1);
  pieces.take();
}

}  // namespace tensorbroker
