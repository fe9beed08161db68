// How long the calls of one client may take, and whether it was closed: shared with what outlives the client object, a
// draft say.
//
// The timeout is set before anybody else sees the object; the flag is atomic.

#ifndef TENSORBROKER_CLIENT_CLIENT_LIMITS_H_
#define TENSORBROKER_CLIENT_CLIENT_LIMITS_H_

#include <tensorbroker/error.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "client/limit.h"

namespace tensorbroker {

class PendingPuts;

struct ClientLimits {
  std::string instance;  // for messages
  std::chrono::duration<double> timeout{10};
  std::atomic<bool> closed{false};
  // The client's puts that nobody waits for, which a draft's publication comes after; null where there are none.
  std::atomic<std::shared_ptr<PendingPuts>> pending{};

  // For one call that needs the broker; REQUIRES: these limits live as long.
  Limit limit() const { return Limit::in(timeout, &closed); }
  // Throws ClosedError where the client was closed.
  void check_open() const {
    if (closed.load(std::memory_order_seq_cst)) throw_closed();
  }
  [[noreturn]] void throw_closed() const {
    throw ClosedError("the client of instance '" + instance + "' was closed; connect again");
  }
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_CLIENT_LIMITS_H_
