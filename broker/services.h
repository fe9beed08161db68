// What every connection shares: the parts of the broker that requests are about. Plain references; on the loop's
// thread.

#ifndef TENSORBROKER_BROKER_SERVICES_H_
#define TENSORBROKER_BROKER_SERVICES_H_

#include <chrono>
#include <functional>

#include "broker/memory_work.h"
#include "broker/session_registry.h"
#include "broker/store.h"

namespace tensorbroker::broker {

struct Services {
  Store& store;
  SessionRegistry& sessions;
  MemoryWork& memory;
  std::chrono::steady_clock::time_point started;
  // Called after each message: see housekeeping.h. It may be put off.
  std::function<void()> after_message;
  std::function<bool()> is_put_off;  // whether it is
  // Ends the broker; `answered` is called as the last thing, when all is gone that is to go.
  std::function<void(bool keep, std::function<void()> answered)> stop;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_SERVICES_H_
