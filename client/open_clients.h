// The limits of the clients that are open in this process, for what outlives the client that made it: a draft is
// published within the timeout of an open client of its instance, and after the last one was closed not at all.
//
// Thread safe, and safe across fork.

#ifndef TENSORBROKER_CLIENT_OPEN_CLIENTS_H_
#define TENSORBROKER_CLIENT_OPEN_CLIENTS_H_

#include <atomic>
#include <chrono>
#include <memory>

#include "client/limit.h"
#include "proto/segment_name.h"

namespace tensorbroker {

struct ClientLimits {
  InstanceName instance;
  std::chrono::duration<double> timeout{10};
  std::atomic<bool> closed{false};

  // For one call that needs the broker; REQUIRES: these limits live as long.
  Limit limit() const { return Limit::in(timeout, &closed); }
};

// Lists a client until its limits are destroyed.
void list_open_client(const std::shared_ptr<ClientLimits>& limits);

// The limits of one that is open for this instance. Throws ClosedError where there is none.
std::shared_ptr<const ClientLimits> open_client(const InstanceName& instance);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_OPEN_CLIENTS_H_
