// The version and hash of everything that lies in shared memory or crosses the socket. Two sides with different values
// refuse each other with a VersionMismatchError that names both.

#ifndef TENSORBROKER_PROTO_LAYOUT_H_
#define TENSORBROKER_PROTO_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "proto/catalog_layout.h"
#include "proto/command_ring.h"
#include "proto/event_ring.h"
#include "proto/limits.h"
#include "proto/session_layout.h"

namespace tensorbroker {

// Raised whenever a record, a protocol or the meaning of a field changes.
inline constexpr std::uint32_t kLayoutVersion = 7;

// FNV-1a over the sizes and limits, so that a change that forgot to raise the version is refused as well.
constexpr std::uint64_t layout_hash() {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const std::uint64_t n :
       {std::uint64_t{kLayoutVersion}, std::uint64_t{kPageSize}, std::uint64_t{kMaxNameBytes}, std::uint64_t{kWindow},
        std::uint64_t{sizeof(Entry)}, std::uint64_t{sizeof(CatalogRoot)}, std::uint64_t{sizeof(SessionRecord)},
        std::uint64_t{sizeof(ExtentRecord)}, std::uint64_t{sizeof(PinRecord)}, std::uint64_t{sizeof(EventRecord)},
        std::uint64_t{sizeof(SessionControl)}, std::uint64_t{sizeof(BlockReturn)}, std::uint64_t{kCommandRingWords},
        std::uint64_t{sizeof(WaitWord)}, std::uint64_t{offsetof(CatalogRoot, intent)}}) {
    for (int shift = 0; shift < 64; shift += 8) hash = (hash ^ (n >> shift & 0xff)) * 0x100000001b3ULL;
  }
  return hash;
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_LAYOUT_H_
