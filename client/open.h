// Opening by name or handle; sending by handle: what pickles carry from one process to another.
//
// Thread safe.

#ifndef TENSORBROKER_CLIENT_OPEN_H_
#define TENSORBROKER_CLIENT_OPEN_H_

#include <tensorbroker/client.h>

#include <cstdint>
#include <string_view>

#include "client/storage.h"

namespace tensorbroker {

// Throws NotFoundError, ReadOnlyError, InvalidArgumentError for what is neither name nor handle.
detail::StorageRef open_storage(Client::Impl& client, std::string_view name_or_handle, OpenMode mode);

// Sees to it that what a published storage holds is there when another process receives its handle, and returns a
// token for the one who does. 0, and no message, where a name leads to it: it is then there as long as the name does.
// Else the broker keeps it until it is received once, or for a minute. Throws ClosedError where no client of its
// instance is open, BrokerUnavailableError.
std::uint64_t send(const detail::StorageRef& storage);

// Opens what another process sent, in the mode of the handle. `token`: what send() returned.
// Throws NotFoundError where it is gone.
Object receive(Client& client, std::string_view handle, std::uint64_t token);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_OPEN_H_
