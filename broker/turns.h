// The clients' turns at the loop, one after the other, so that none costs the others more than its share.
//
// Shared by the processor time that they used (not by time that passed: this process may have waited for a processor
// itself; who is alone is charged that, up to a turn's length), and by process: many connections of one process have
// one connection's share. Between two turns the loop looks at its descriptors, so that who comes anew waits for the
// turn that is running and no other; those whose rings are looked at (ring_watch.h) may have several in between, for
// two microseconds and a turn each, as long as nobody waits. What follows from turns (housekeeping.h) is done once for
// several, while others wait or are looked for. On the loop's thread.

#ifndef TENSORBROKER_BROKER_TURNS_H_
#define TENSORBROKER_BROKER_TURNS_H_

#include <sys/types.h>

#include <functional>
#include <utility>

#include "broker/event_loop.h"
#include "broker/fair_queue.h"

namespace tensorbroker::broker {

class Turns {
 public:
  // How long a turn may take that can be interrupted. Looking at the descriptors costs a system call, below a
  // microsecond.
  static constexpr std::chrono::microseconds kLength{10};
  // Turns that what follows from the first of them is put off for.
  static constexpr int kMostPutOff = 16;

  // `follow_up`: what follows from turns.
  Turns(EventLoop& loop, std::function<void()> follow_up) : loop_(loop), follow_up_(std::move(follow_up)) {}

  // Has it take a turn when it is the process's; not from within. Those whose pid is not to be seen here (0) are one.
  void ask(pid_t process, FairQueue::Turn turn);
  // The same, at once where nobody waits, for one who looks for the next turn too. What follows is put off until he
  // says that he finds none, by catch_up().
  void take(pid_t process, const FairQueue::Turn& turn);

  // Asks for what follows: from within a turn it comes after this one, or a later one if others wait or are looked for;
  // else at once.
  void follow_up();
  // Whether somebody has asked for a turn that he has not had yet. (To be asked between turns.)
  bool somebody_waits() const noexcept { return running_; }
  // Does what was put off, if anything was.
  void catch_up();
  // Whether something follows that was put off.
  bool is_behind() const noexcept { return is_behind_; }

 private:
  void next();
  void run(TakesTurns& turn, bool more_is_looked_for);
  void end_turn(bool more_is_looked_for);
  void do_follow_up();

  EventLoop& loop_;
  const std::function<void()> follow_up_;
  FairQueue queue_;
  bool running_ = false;  // next() is waiting in the loop, or at it
  bool in_turn_ = false;
  bool is_behind_ = false;
  int put_off_ = 0;  // turns since it is
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_TURNS_H_
