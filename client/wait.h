// Waiting for a version of a name: looks busily at the name's futex word, whose change every publication makes, for as
// long as was asked, then sleeps on it.
//
// Thread safe. While a thread sleeps its connection is looked after, so that a killed broker gets a successor, which
// wakes everybody; an instance that ended is followed to the next one.

#ifndef TENSORBROKER_CLIENT_WAIT_H_
#define TENSORBROKER_CLIENT_WAIT_H_

#include <tensorbroker/client.h>

#include <cstdint>
#include <string_view>

#include "client/client_impl.h"
#include "client/storage.h"
#include "proto/lookup.h"

namespace tensorbroker {

// Leases the newest version of `name` once there is one above `newer_than`; empty when `timeout` has passed (absent:
// never; 0: looks once). `check` is called after each slice of sleep or of spinning, and may throw. Throws ClosedError
// where the client is closed meanwhile, and InvalidArgumentError for options that cannot be.
detail::StorageRef wait_newer(Client::Impl& client, std::string_view name, std::uint64_t newer_than,
                              Client::Timeout timeout, const WaitOptions& options, const InterruptCheck& check);

// Looks once, without waiting for anything: kHeld and `found`, kMissing; otherwise only a wait can tell.
LookupStatus look_at_once(Client::Impl& client, std::string_view name, detail::StorageRef* found);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_WAIT_H_
