// How long a call may take, and what ends it early. A plain value.

#ifndef TENSORBROKER_CLIENT_LIMIT_H_
#define TENSORBROKER_CLIENT_LIMIT_H_

#include <tensorbroker/error.h>

#include <algorithm>
#include <atomic>
#include <chrono>

namespace tensorbroker {

struct Limit {
  using Clock = std::chrono::steady_clock;

  Clock::time_point deadline;
  // Set by whoever closes the client: a call that sees it throws ClosedError within a fifth of a second.
  const std::atomic<bool>* closed = nullptr;

  static Limit in(std::chrono::duration<double> time, const std::atomic<bool>* closed = nullptr) {
    // A year is for ever, and does not overflow the clock.
    const auto bounded = std::clamp(time, std::chrono::duration<double>(0), std::chrono::duration<double>(365 * 86400));
    return {Clock::now() + std::chrono::duration_cast<Clock::duration>(bounded), closed};
  }
  bool passed() const { return Clock::now() >= deadline; }
  Clock::duration remaining() const { return std::max(Clock::duration::zero(), deadline - Clock::now()); }
  bool is_closed() const { return closed != nullptr && closed->load(std::memory_order_relaxed); }
  // Throws ClosedError where the client was closed.
  void check_open() const {
    if (is_closed()) throw ClosedError("the client was closed");
  }
  // The same, but no later than `time` from now.
  Limit at_most(Clock::duration time) const { return {std::min(deadline, Clock::now() + time), closed}; }
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_LIMIT_H_
