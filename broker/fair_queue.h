// Who is next: of the owners that have turns waiting, the one that was served least.
//
// Start-time fair queueing (Goyal, Vin and Cheng 1996): an owner's clock advances by what its turns cost, the queue's
// follows that of the owner served last, and an owner that comes anew begins at the queue's. So an owner with a
// thousand turns waiting gets no more than one that asks now and then, and a costly turn is made up for by waiting
// afterwards. The queue's clock also advances with each turn, by less than those that wait advance on average: else
// owners that are always new would keep the others waiting for ever. An owner's own turns keep their order. Once
// nothing waits, all owners are equal again.

#ifndef TENSORBROKER_BROKER_FAIR_QUEUE_H_
#define TENSORBROKER_BROKER_FAIR_QUEUE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

namespace tensorbroker::broker {

class TakesTurns {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  virtual ~TakesTurns() = default;
  virtual void take_turn(Deadline ends) = 0;
};

class FairQueue {
 public:
  using Owner = std::uint64_t;
  using Turn = std::shared_ptr<TakesTurns>;
  using Cost = std::chrono::nanoseconds;

  // Whether no owner waits; of the one whose turn it is no more is known until finish().
  bool empty() const noexcept { return waiting_.empty(); }
  // Whether the turn that was taken last is the last: its owner has no other one either.
  bool took_last() const { return waiting_.empty() && running_->turns.empty(); }
  // Whose use is remembered: those that wait, those served more than their share, and a few.
  std::size_t owners() const noexcept { return accounts_.size(); }

  void push(Owner owner, Turn turn);
  // Has one begin who need not wait: the same as push() and pop(), without a turn to keep. REQUIRES: empty().
  void begin(Owner owner);
  // The next turn; not to be called when empty(). finish() follows, before the next pop().
  Turn pop();
  // The turn is over and was of this cost; not before does its owner wait for another one.
  void finish(Cost cost);

 private:
  struct Account {
    Cost clock{};
    std::deque<Turn> turns;
  };
  struct Place {
    Cost clock;
    std::uint64_t arrival;  // orders owners whose clocks are equal
    Account* account;       // stays where it is while it has turns
    auto operator<=>(const Place&) const = default;
  };

  void wait(Account& account);
  void forget();

  Cost clock_{};
  Cost latest_{};  // no account's clock is beyond it
  std::uint64_t arrivals_ = 0;
  std::size_t forget_at_ = 64;
  std::unordered_map<Owner, Account> accounts_;
  std::vector<Place> waiting_;  // a heap
  Account* running_ = nullptr;  // whose turn was taken last
  bool is_running_ = false;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_FAIR_QUEUE_H_
