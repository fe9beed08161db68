// A lock that is held for some tens of nanoseconds: half the cost of a std::mutex, whose release is a locked
// instruction and a call as well.
//
// Who finds it held looks again for a while, and then sleeps between two looks, so that a holder of lower priority gets
// to run. For what never blocks while it holds it, but for fork(), which may take milliseconds. A BasicLockable.

#ifndef TENSORBROKER_CLIENT_SHORT_LOCK_H_
#define TENSORBROKER_CLIENT_SHORT_LOCK_H_

#include <atomic>
#include <chrono>
#include <thread>

#include "proto/pause.h"

namespace tensorbroker {

class ShortLock {
 public:
  void lock() noexcept {
    while (held_.exchange(true, std::memory_order_acquire)) wait();
  }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }

 private:
  static constexpr int kLooks = 200;
  static constexpr std::chrono::microseconds kNap{20};

  void wait() const noexcept {
    for (int looks = 0; held_.load(std::memory_order_relaxed); ++looks) {
      looks < kLooks ? pause_core() : std::this_thread::sleep_for(kNap);
    }
  }

  std::atomic<bool> held_{false};
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_SHORT_LOCK_H_
