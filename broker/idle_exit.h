// Ends a broker that nobody needs: without session, without a published tensor and without one on
// its way between processes for a while, as --idle-exit says.
//
// On the loop's thread. Its timer runs only while the broker is idle.

#ifndef TENSORBROKER_BROKER_IDLE_EXIT_H_
#define TENSORBROKER_BROKER_IDLE_EXIT_H_

#include <functional>

#include "broker/event_loop.h"
#include "broker/session_registry.h"
#include "broker/store.h"

namespace tensorbroker::broker {

class IdleExit {
 public:
  // `end` is called once the broker was idle for the store's idle_exit_seconds; 0: never.
  IdleExit(EventLoop& loop, const Store& store, const SessionRegistry& sessions, std::function<void()> end);

  // Looks whether the broker is idle now. To be called whenever that may have changed.
  void update();

 private:
  bool idle() const;

  const Store& store_;
  const SessionRegistry& sessions_;
  std::function<void()> end_;
  Timer timer_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_IDLE_EXIT_H_
