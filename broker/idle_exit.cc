#include "broker/idle_exit.h"

#include <chrono>
#include <utility>

namespace tensorbroker::broker {

IdleExit::IdleExit(EventLoop& loop, const Store& store, const SessionRegistry& sessions, std::function<void()> end)
    : store_(store), sessions_(sessions), end_(std::move(end)), timer_(loop) {}

void IdleExit::update() {
  const double seconds = store_.options().idle_exit_seconds;
  if (seconds <= 0) return;
  if (!idle()) return timer_.stop();
  if (timer_.running()) return;
  timer_.start(std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)), end_);
}

bool IdleExit::idle() const {
  if (!sessions_.empty() || store_.next_pin_deadline()) return false;  // a pin: something is on its way
  const Statistics statistics = store_.statistics();
  return statistics.tensors + statistics.bundles == 0;
}

}  // namespace tensorbroker::broker
