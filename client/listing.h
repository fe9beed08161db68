// Listings: what the name index holds under a prefix. Most of what has another one is passed by without a look
// (proto/name_beginnings.h), the rest at a glance (proto/glance.h); records are copied at a glance, or leased while
// they are read.
//
// Reads the catalog without a message. Thread safe.

#ifndef TENSORBROKER_CLIENT_LISTING_H_
#define TENSORBROKER_CLIENT_LISTING_H_

#include <tensorbroker/client.h>

#include <string_view>
#include <vector>

#include "client/attachment.h"
#include "client/limit.h"

namespace tensorbroker {

// Everything whose name begins with `prefix`, sorted by name (bytewise). A name that is there throughout the call is
// listed exactly once. Throws InstanceEnded, CorruptSegmentError, and BrokerUnavailableError where the index was
// rebuilt again and again until `limit`.
std::vector<Info> list_entries(Attachment& attachment, std::string_view prefix, const Limit& limit);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_LISTING_H_
