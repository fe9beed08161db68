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
  const auto before = used_by_this_thread();
  queue_.pop()->take_turn();
  queue_.finish(used_by_this_thread() - before);
  running_ = !queue_.empty();
  if (running_) loop_.post([this] { next(); });
}

}  // namespace tensorbroker::broker
