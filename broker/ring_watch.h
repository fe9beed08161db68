// Looks at command rings without being rung, while requests come in quick succession.
//
// A burst of requests then costs neither side a system call or a wake-up. Once nothing has come for a moment the
// clients have to ring again, and the loop sleeps: a broker with nothing to do uses no processor. Between two looks the
// loop looks at its descriptors. With one processor there is nothing to win, and no ring is looked at; and for a while
// none is where nothing came although it was looked for, or where this process was put aside meanwhile: then the
// clients or others want this processor. On the loop's thread.

#ifndef TENSORBROKER_BROKER_RING_WATCH_H_
#define TENSORBROKER_BROKER_RING_WATCH_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <utility>

#include "broker/event_loop.h"
#include "broker/processor.h"
#include "broker/request_ring.h"
#include "broker/turns.h"
#include "proto/spin_budget.h"

namespace tensorbroker::broker {

class RingWatch {
 public:
  using Clock = RequestRing::Clock;
  // Requests that follow each other within this time are a burst, and so long a ring is looked at after the last one.
  static constexpr std::chrono::microseconds kBurst{100};
  // Of so many it pays to leave the client's processor. After fewer the next one would find this process on another
  // processor, and to be woken there takes several times as long.
  static constexpr unsigned kWorthLeaving = 4;
  static constexpr std::size_t kMostRings = 16;
  // Leaves the processor to who shares it; false where there is no other.
  using Leave = std::function<bool(unsigned processor)>;

  RingWatch(EventLoop& loop, Turns& turns, Leave leave = leave_processor)
      : loop_(loop), turns_(turns), leave_(std::move(leave)) {}

  // A request came from this ring's client, the last of so many within kBurst of each other.
  void heard(RequestRing& ring, unsigned in_a_row);

  // Has a task that is not urgent make way for those whose rings are looked at: it runs so much later, or once none is
  // looked at if that is sooner; at once where none is. One task at a time: REQUIRES that the one before it has run.
  // A look tells the time anyway, where a timer would be an interrupt and two exits of a virtual machine.
  void make_way(Clock::duration how_long, std::function<void()> task);

 private:
  bool sits_apart(const RequestRing& ring, unsigned in_a_row, Clock::time_point now);
  void look_soon();
  void look();
  void look_at_all(Clock::time_point now);
  void drop_quiet(Clock::time_point since);
  void run_waiting(Clock::time_point now);

  EventLoop& loop_;
  Turns& turns_;
  const Leave leave_;
  SpinBudget leaving_;                             // which does not pay where the other processor is wanted
  bool has_left_ = false;                          // since the looking began
  std::list<std::shared_ptr<RequestRing>> rings_;  // to which a turn may add while they are looked at
  bool looking_ = false;                           // look() is waiting in the loop, or at it
  SpinBudget spinning_;
  Clock::time_point last_look_;
  std::function<void()> waiting_;  // of make_way()
  Clock::time_point waits_until_;
  bool paid_ = false;  // something came since the looking began
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_RING_WATCH_H_
