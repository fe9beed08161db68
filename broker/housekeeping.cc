#include "broker/housekeeping.h"

#include <chrono>

#include "broker/boottime.h"

namespace tensorbroker::broker {

void Housekeeping::run() {
  store_.reclaim_if_due();
  sessions_.revoke_truncated();
  memory_.look();
  wait_for_pins();
  idle_.update();
}

void Housekeeping::wait_for_pins() {
  const auto deadline = store_.next_pin_deadline();
  if (deadline == pin_deadline_) return;
  pin_deadline_ = deadline;
  if (!deadline) return pin_timer_.stop();
  const std::uint64_t now = boottime_ns();
  const std::uint64_t left = *deadline > now ? *deadline - now : 0;
  pin_timer_.start(std::chrono::milliseconds(left / 1'000'000 + 1), [this] {
    pin_deadline_.reset();
    store_.reclaim();
    run();
  });
}

}  // namespace tensorbroker::broker
