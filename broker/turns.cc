#include "broker/turns.h"

#include <ctime>
#include <utility>

namespace tensorbroker::broker {
namespace {

std::chrono::nanoseconds used_by_this_thread() noexcept {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace

void Turns::ask(pid_t process, FairQueue::Turn turn) {
  queue_.push(static_cast<FairQueue::Owner>(process), std::move(turn));
  if (std::exchange(running_, true)) return;
  loop_.post([this] { next(); });
}

void Turns::next() {
  queue_.pop()->take_turn();
  const auto used = used_by_this_thread();
  queue_.finish(used - std::exchange(used_, used));
  running_ = !queue_.empty();
  if (running_) loop_.post([this] { next(); });
}

}  // namespace tensorbroker::broker
