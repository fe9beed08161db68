// What follows from a message, or from a session's death, apart from its answer: reclaim where it is due, punching,
// the end of pins, idleness. On the loop's thread; with nothing pending no timer runs.

#ifndef TENSORBROKER_BROKER_HOUSEKEEPING_H_
#define TENSORBROKER_BROKER_HOUSEKEEPING_H_

#include <cstdint>
#include <optional>

#include "broker/event_loop.h"
#include "broker/idle_exit.h"
#include "broker/memory_work.h"
#include "broker/session_registry.h"
#include "broker/store.h"

namespace tensorbroker::broker {

class Housekeeping {
 public:
  Housekeeping(EventLoop& loop, Store& store, SessionRegistry& sessions, MemoryWork& memory, IdleExit& idle)
      : store_(store), sessions_(sessions), memory_(memory), idle_(idle), pin_timer_(loop) {}

  void run();

 private:
  void wait_for_pins();

  Store& store_;
  SessionRegistry& sessions_;
  MemoryWork& memory_;
  IdleExit& idle_;
  Timer pin_timer_;
  std::optional<std::uint64_t> pin_deadline_;  // that the timer runs for
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_HOUSEKEEPING_H_
