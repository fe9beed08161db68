// Taking, giving up and inheriting a lease: the client's half of the agreement with reclaim.
//
// A lease is stored (seq_cst) before the reader looks again at what led it to the entry; the broker unlinks (seq_cst)
// before it scans the leases. So either the reader sees the unlinking and withdraws, or the broker sees the lease and
// keeps the entry. Whoever clears a lease of an entry that is no longer live rings the broker, a withdrawn attempt's
// too: a sleeping broker learns of the last holder in no other way.

#ifndef TENSORBROKER_PROTO_LEASE_H_
#define TENSORBROKER_PROTO_LEASE_H_

#include <atomic>
#include <cstdint>

#include "proto/catalog_layout.h"
#include "proto/session_layout.h"

namespace tensorbroker {

template <class W>
void store_lease(W& cell, EntryId entry) {
  cell.store(lease_of(entry), std::memory_order_seq_cst);
}

// Clears the lease; calls `ring()` where the broker may be waiting for it.
template <class W, class Ring>
void release_lease(W& cell, const BasicEntry<W>& entry, Ring&& ring) {
  cell.store(0, std::memory_order_seq_cst);
  if (!is_live(entry.generation.load(std::memory_order_seq_cst))) ring();
}

// Leases the entry of a handle: true if its generation is live and the same before and after the lease. False says
// nothing about a retired or anonymous entry: the broker pins those.
template <class W, class Ring>
bool lease_by_handle(W& cell, const BasicEntry<W>& entry, EntryId id, std::uint64_t generation, Ring&& ring) {
  if (!is_live(generation) || entry.generation.load(std::memory_order_seq_cst) != generation) return false;
  store_lease(cell, id);
  if (entry.generation.load(std::memory_order_seq_cst) == generation) return true;
  release_lease(cell, entry, ring);
  return false;
}

// Before a fork: leases for the child, in its heir's cells, what its parent's `cells` lease. The parent gives up none
// of them meanwhile, so that whoever scans a parent before its heirs finds each in the one or the other. `high_water`:
// of the parent's cells. REQUIRES: as many cells of the heir's, all free.
template <class W>
void inherit_leases(const W* cells, std::uint64_t high_water, BasicSessionControl<W>& heir_control, W* heir_cells) {
  heir_control.lease_high_water.store(high_water, std::memory_order_seq_cst);
  for (std::uint64_t i = 0; i < high_water; ++i) {
    const std::uint64_t lease = cells[i].load(std::memory_order_relaxed);
    if (lease != 0) heir_cells[i].store(lease, std::memory_order_seq_cst);
  }
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_LEASE_H_
