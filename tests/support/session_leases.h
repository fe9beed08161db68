// What a client does to its session's lease table, for tests that have no client: one cell at a time.

#ifndef TENSORBROKER_TESTS_SUPPORT_SESSION_LEASES_H_
#define TENSORBROKER_TESTS_SUPPORT_SESSION_LEASES_H_

#include <cstdint>
#include <string_view>

#include "proto/catalog.h"
#include "proto/lookup.h"
#include "proto/name.h"
#include "proto/session.h"

namespace tensorbroker::test {

inline void ring(const SessionSegment& session) { session.control().ring.exchange(1); }

// To be called before the first lease in a cell.
inline void use_cell(const SessionSegment& session, std::uint32_t cell) {
  Word& high_water = session.control().lease_high_water;
  if (high_water.load() <= cell) high_water.store(cell + 1);
}

// Looks a name up and leases its entry in `cell`; kNoEntry where it is missing.
inline EntryId lease_name(const Catalog& catalog, const SessionSegment& session, std::string_view name,
                          std::uint32_t cell) {
  use_cell(session, cell);
  const std::uint64_t hash = hash_name(name);
  EntryId found = kNoEntry;
  const LookupStatus status = lookup(
      catalog.view(), hash, session.lease(cell), [&](EntryId id) { return catalog.entry_has_name(id, hash, name); },
      [&] { ring(session); }, &found);
  return status == LookupStatus::kHeld ? found : kNoEntry;
}

inline void release_cell(const Catalog& catalog, const SessionSegment& session, std::uint32_t cell) {
  const std::uint64_t lease = session.lease(cell).load();
  if (lease == 0) return;
  release_lease(session.lease(cell), catalog.entry(static_cast<EntryId>(lease - 1)), [&] { ring(session); });
}

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_SUPPORT_SESSION_LEASES_H_
