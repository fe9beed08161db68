#include "broker/turns.h"

#include <utility>

namespace tensorbroker::broker {

void Turns::ask(pid_t process, FairQueue::Turn turn) {
  queue_.push(static_cast<FairQueue::Owner>(process), std::move(turn));
  if (std::exchange(running_, true)) return;
  loop_.post([this] { next(); });
}

void Turns::next() {
  const auto begin = std::chrono::steady_clock::now();
  queue_.pop()->take_turn();
  queue_.finish(std::chrono::steady_clock::now() - begin);
  running_ = !queue_.empty();
  if (running_) loop_.post([this] { next(); });
}

}  // namespace tensorbroker::broker
