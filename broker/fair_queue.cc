#include "broker/fair_queue.h"

#include <algorithm>
#include <utility>

namespace tensorbroker::broker {

void FairQueue::push(Owner owner, Turn turn) {
  Account& account = accounts_[owner];
  account.turns.push_back(std::move(turn));
  if (account.turns.size() > 1 || (is_running_ && &account == running_)) return;
  account.clock = std::max(account.clock, clock_);
  wait(account);
}

void FairQueue::begin(Owner owner) {
  running_ = &accounts_[owner];
  running_->clock = std::max(running_->clock, clock_);
  clock_ = running_->clock;
  is_running_ = true;
}

FairQueue::Turn FairQueue::pop() {
  std::pop_heap(waiting_.begin(), waiting_.end(), std::greater<>());
  const Place next = waiting_.back();
  waiting_.pop_back();
  clock_ = std::max(clock_, next.clock);
  running_ = next.account;
  is_running_ = true;
  std::deque<Turn>& turns = running_->turns;
  Turn turn = std::move(turns.front());
  turns.pop_front();
  return turn;
}

void FairQueue::finish(Cost cost) {
  is_running_ = false;
  Account& account = *running_;
  account.clock += cost;
  latest_ = std::max(latest_, account.clock);
  if (!account.turns.empty()) wait(account);
  clock_ += cost / (waiting_.size() + 1);
  if (waiting_.empty()) clock_ = std::max(clock_, latest_);
  if (accounts_.size() >= forget_at_) forget();
}

void FairQueue::wait(Account& account) {
  waiting_.push_back({account.clock, ++arrivals_, &account});
  std::push_heap(waiting_.begin(), waiting_.end(), std::greater<>());
}

// Those that wait for nothing and are not ahead of the queue have nothing to be remembered for. Called again once there
// are twice as many as were left.
void FairQueue::forget() {
  std::erase_if(accounts_,
                [this](const auto& each) { return each.second.turns.empty() && each.second.clock <= clock_; });
  forget_at_ = std::max<std::size_t>(64, 2 * accounts_.size());
}

}  // namespace tensorbroker::broker
