#include "broker/turns.h"

#include <algorithm>
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

void Turns::take(pid_t process, const FairQueue::Turn& turn) {
  if (running_) return ask(process, turn);
  queue_.begin(static_cast<FairQueue::Owner>(process));
  running_ = true;
  run(*turn, true);
}

void Turns::next() {
  const FairQueue::Turn turn = queue_.pop();
  run(*turn, false);
}

void Turns::follow_up() {
  if (!in_turn_) return do_follow_up();
  is_behind_ = true;
}

void Turns::catch_up() {
  if (is_behind_) do_follow_up();
}

void Turns::do_follow_up() {
  is_behind_ = false;
  put_off_ = 0;
  follow_up_();
}

// What follows is charged to who had the turn before it.
void Turns::end_turn(bool more_is_looked_for) {
  in_turn_ = false;
  if (!is_behind_) return;
  if (++put_off_ >= kMostPutOff || (queue_.took_last() && !more_is_looked_for)) do_follow_up();
}

// Asking for processor time takes two system calls, which one whom nobody waits for need not pay for: the time that
// passed tells enough, unless this process was put aside, and then it is no longer than a turn.
void Turns::run(TakesTurns& turn, bool more_is_looked_for) {
  using Clock = std::chrono::steady_clock;
  const bool others_wait = !queue_.empty();
  const auto before = others_wait ? used_by_this_thread() : FairQueue::Cost::zero();
  const auto begin = Clock::now();
  in_turn_ = true;
  turn.take_turn(begin + kLength);
  end_turn(more_is_looked_for);
  const FairQueue::Cost used =
      others_wait ? used_by_this_thread() - before : std::min<FairQueue::Cost>(Clock::now() - begin, kLength);
  queue_.finish(used);
  running_ = !queue_.empty();
  if (running_) loop_.post([this] { next(); });
}

}  // namespace tensorbroker::broker
