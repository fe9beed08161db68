// The broker's half of the agreement on leases (proto/lease.h): which entries any session names.
//
// What is to be freed was unlinked before, by seq_cst stores. Then, in this order: every ring word back to 0, so that
// whoever lets go from here on rings again; each lease table up to its high-water mark, a parent's before its heirs',
// since a fork copies leases from the one to the other. An entry that this finds unnamed can never be named again.
// No fence: all of these accesses, and the readers', are seq_cst, and so have one order that everybody agrees on. (The
// model has store buffers and knows no fences.) A template over the word, for the model tests. One thread only, against
// any number of readers.

#ifndef TENSORBROKER_BROKER_RECLAIM_H_
#define TENSORBROKER_BROKER_RECLAIM_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "proto/session_layout.h"

namespace tensorbroker::broker {

// One session's leases. `committed`: cells that have their pages, by the broker's own account.
template <class W>
struct BasicLeaseTable {
  BasicSessionControl<W>* control = nullptr;
  W* leases = nullptr;
  std::uint64_t committed = 0;
};

template <class W, class Visit>
void for_each_lease(const BasicLeaseTable<W>& table, Visit&& visit) {
  const std::uint64_t high_water =
      std::min(table.control->lease_high_water.load(std::memory_order_seq_cst), table.committed);
  for (std::uint64_t i = 0; i < high_water; ++i) {
    const std::uint64_t lease = table.leases[i].load(std::memory_order_seq_cst);
    if (lease != 0) visit(lease - 1);
  }
}

// Which of the first `entries` entries the tables name. `tables`: parents before their heirs.
template <class W>
std::vector<bool> leased_entries(const std::vector<BasicLeaseTable<W>>& tables, std::uint64_t entries) {
  for (const auto& table : tables) table.control->ring.store(0, std::memory_order_seq_cst);
  std::vector<bool> leased(entries);
  for (const auto& table : tables) {
    for_each_lease(table, [&](std::uint64_t entry) {
      if (entry < entries) leased[entry] = true;
    });
  }
  return leased;
}

using LeaseTable = BasicLeaseTable<Word>;

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_RECLAIM_H_
