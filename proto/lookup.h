// Finding an entry by name, without a lock, a system call or a message: the reader's half of publication.
//
// The reader reads the root and a cell, leases the entry that the cell names, and reads cell and root again; only when
// both are unchanged may it look at the entry. Every way out, a miss as well as a hit, reads the root again: during a
// rebuild the old index may be missing names, or be overwritten. Retries are bounded; after them the broker is asked.
// Thread safe: any number of readers against the one broker.

#ifndef TENSORBROKER_PROTO_LOOKUP_H_
#define TENSORBROKER_PROTO_LOOKUP_H_

#include <atomic>
#include <cstdint>

#include "proto/catalog_layout.h"
#include "proto/lease.h"

namespace tensorbroker {

// The parts of a catalog that the protocols touch, at their addresses in this process.
template <class W>
struct BasicCatalogView {
  BasicCatalogRoot<W>* root = nullptr;
  BasicEntry<W>* entries = nullptr;
  W* index[2] = {nullptr, nullptr};
  std::uint64_t index_limit = 0;          // cells in each region
  W* beginnings[2] = {nullptr, nullptr};  // of each cell's name: what name_beginnings.h says of it
};

enum class LookupStatus {
  kHeld,       // the lease cell names the entry
  kMissing,    // the name was absent at some moment of the call
  kContended,  // the name or the index kept changing: ask the broker
  kClosed,     // the instance ended
  kCorrupt,    // the root or a cell is out of bounds
};

inline constexpr int kLookupAttempts = 64;

namespace lookup_detail {

enum class Probe { kHeld, kMissing, kAgain, kCorrupt };

// One walk along the probe chain of `hash` in the index that `root` names.
template <class W, class Matches, class Ring>
Probe probe(const BasicCatalogView<W>& catalog, std::uint64_t root, std::uint64_t hash, W& lease, Matches& matches,
            Ring& ring, EntryId* found) {
  const IndexRoot index = IndexRoot::unpack(root);
  const std::uint64_t cells = std::uint64_t{1} << (index.log2_cells & 63);
  if (index.region > 1 || cells > catalog.index_limit) return Probe::kCorrupt;
  W* const region = catalog.index[index.region];
  const auto root_unchanged = [&] { return catalog.root->index.load(std::memory_order_seq_cst) == root; };

  std::uint64_t position = hash & (cells - 1);
  for (std::uint64_t probed = 0; probed < cells; ++probed, position = (position + 1) & (cells - 1)) {
    const std::uint64_t cell = region[position].load(std::memory_order_seq_cst);
    if (cell == kEmptyCell) break;
    if (!cell_is_entry(cell) || cell_tag(cell) != cell_tag(hash)) continue;
    const EntryId id = cell_entry(cell);
    if (id >= catalog.root->entries_committed.load(std::memory_order_acquire)) {
      return root_unchanged() ? Probe::kCorrupt : Probe::kAgain;
    }
    store_lease(lease, id);
    const bool same = region[position].load(std::memory_order_seq_cst) == cell && root_unchanged();
    if (same && matches(id)) {
      *found = id;
      return Probe::kHeld;
    }
    release_lease(lease, catalog.entries[id], ring);
    if (!same) return Probe::kAgain;  // else another name with the same tag: probe on
  }
  return root_unchanged() ? Probe::kMissing : Probe::kAgain;
}

}  // namespace lookup_detail

// Looks for the name with this hash. `matches(id)` says whether a leased entry bears the name; `ring()` is called as
// release_lease does. `lease` is a free cell of the caller's below its high-water mark; it stays free unless kHeld.
template <class W, class Matches, class Ring>
LookupStatus lookup(const BasicCatalogView<W>& catalog, std::uint64_t hash, W& lease, Matches&& matches, Ring&& ring,
                    EntryId* found) {
  for (int attempt = 0; attempt < kLookupAttempts; ++attempt) {
    const std::uint64_t root = catalog.root->index.load(std::memory_order_seq_cst);
    if (root == kClosedRoot) return LookupStatus::kClosed;
    switch (lookup_detail::probe(catalog, root, hash, lease, matches, ring, found)) {
      case lookup_detail::Probe::kHeld:
        return LookupStatus::kHeld;
      case lookup_detail::Probe::kMissing:
        return LookupStatus::kMissing;
      case lookup_detail::Probe::kCorrupt:
        return LookupStatus::kCorrupt;
      case lookup_detail::Probe::kAgain:
        break;
    }
  }
  return LookupStatus::kContended;
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_LOOKUP_H_
