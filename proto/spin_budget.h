// Whether it pays to look busily for another process's word rather than to sleep: learned from whether it did.
//
// It pays while both have a core and the other one goes on. A look in vain is followed by a short time without any, so
// that what comes now and then costs little. Where the two share a core, or others want theirs, who looks keeps the
// other one from running or is put aside himself with nobody to wake him: the time without is then twice as long each
// time in a row. Not thread safe.

#ifndef TENSORBROKER_PROTO_SPIN_BUDGET_H_
#define TENSORBROKER_PROTO_SPIN_BUDGET_H_

#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace tensorbroker {

// Whether the machine has more than one processor, as of the first call. Which of them this process may use says
// little: one that is kept to a processor of its own looks while the other one has another.
inline bool has_processors_to_spare() noexcept {
  static const bool several = sysconf(_SC_NPROCESSORS_ONLN) > 1;
  return several;
}

class SpinBudget {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kShortestPause{5};
  static constexpr std::chrono::milliseconds kLongestPause{640};
  static constexpr unsigned kConvincing = 64;  // looks that paid in a row: what went before is forgotten

  bool allows(Clock::time_point now) const noexcept { return now >= not_before_; }
  void paid() noexcept {
    if (++paid_ == kConvincing) pause_ = kShortestPause;
  }
  // Nothing came.
  void in_vain(Clock::time_point now) noexcept {
    paid_ = 0;
    not_before_ = now + kShortestPause;
  }
  // As far as can be known, for want of a core.
  void put_aside(Clock::time_point now) noexcept {
    paid_ = 0;
    if (now - aside_until_ > pause_) pause_ = kShortestPause;  // not in a row: that was long ago
    not_before_ = aside_until_ = now + pause_;
    pause_ = std::min<Clock::duration>(2 * pause_, kLongestPause);
  }

 private:
  Clock::time_point not_before_{};
  Clock::time_point aside_until_{};  // the pause that followed the last time that it was put aside
  Clock::duration pause_ = kShortestPause;
  unsigned paid_ = 0;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_SPIN_BUDGET_H_
