// The name index as its one writer sees it: where a name's cell is, where a new one goes, and the rebuilding into the
// other region when names and tombstones fill it.
//
// Cells never move within one index. A rebuilt index becomes visible by one store of the root, whose epoch readers
// compare. A template over the word, for the model tests. One thread only; readers use proto/lookup.h.

#ifndef TENSORBROKER_BROKER_NAME_INDEX_H_
#define TENSORBROKER_BROKER_NAME_INDEX_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "proto/catalog_layout.h"
#include "proto/lookup.h"

namespace tensorbroker::broker {

template <class W>
class BasicNameIndex {
 public:
  static constexpr std::uint64_t kLeastCells = 4096;

  explicit BasicNameIndex(const BasicCatalogView<W>& catalog) : catalog_(catalog) {}

  // A name's cell, or the one where it would go: the first tombstone of its chain, or the empty cell at its end.
  struct Place {
    std::uint64_t cell = 0;
    EntryId entry = kNoEntry;  // kNoEntry: the name is absent
  };
  // `matches(id)`: whether this entry bears the name. REQUIRES: has_room() at the last insertion, so that chains end.
  template <class Matches>
  Place find(std::uint64_t hash, Matches&& matches) const {
    const std::uint64_t mask = cells() - 1;
    std::uint64_t tombstone = mask + 1;
    std::uint64_t position = hash & mask;
    for (std::uint64_t probed = 0; probed <= mask; ++probed, position = (position + 1) & mask) {
      const std::uint64_t cell = load(position);
      if (cell == kEmptyCell) return {tombstone <= mask ? tombstone : position, kNoEntry};
      if (cell == kTombstone) {
        if (tombstone > mask) tombstone = position;
      } else if (cell_tag(cell) == cell_tag(hash) && matches(cell_entry(cell))) {
        return {position, cell_entry(cell)};
      }
    }
    return {tombstone, kNoEntry};
  }

  std::uint64_t load(std::uint64_t cell) const {
    return catalog_.index[root().region][cell].load(std::memory_order_relaxed);
  }
  std::uint64_t cells() const { return std::uint64_t{1} << root().log2_cells; }
  std::uint64_t names() const { return names_; }

  // Keeps count of a cell's change.
  void changed(std::uint64_t before, std::uint64_t after) {
    if (cell_is_entry(before)) --names_;
    if (cell_is_entry(after)) ++names_;
    if (before == kEmptyCell && after != kEmptyCell) ++filled_;
  }

  // Whether one more cell may be filled: at most three quarters are.
  bool has_room() const { return 4 * (filled_ + 1) <= 3 * cells(); }

  // Makes an index of the live names in the other region and puts it in force. `reserve(region, cells)` gives its
  // pages; where it throws, nothing changed.
  template <class Reserve>
  void rebuild(Reserve&& reserve) {
    const IndexRoot old = root();
    const std::uint64_t wanted = std::max(kLeastCells, std::bit_ceil(4 * (names_ + 1)));
    const std::uint64_t size = std::min(wanted, catalog_.index_limit);
    const IndexRoot next{.epoch = old.epoch + 1,
                         .region = static_cast<std::uint8_t>(1 - old.region),
                         .log2_cells = static_cast<std::uint8_t>(std::countr_zero(size))};
    reserve(next.region, size);
    W* const to = catalog_.index[next.region];
    for (std::uint64_t i = 0; i < size; ++i) to[i].store(kEmptyCell, std::memory_order_release);
    for (std::uint64_t i = 0; i < cells(); ++i) {
      if (cell_is_entry(load(i))) put(to, size - 1, load(i));
    }
    catalog_.root->index.store(next.pack(), std::memory_order_seq_cst);
    filled_ = names_;
  }

  // Counts afresh, as a successor does. `visit(position, cell)` is called for every cell that names an entry.
  template <class Visit>
  void count(Visit&& visit) {
    names_ = filled_ = 0;
    for (std::uint64_t i = 0; i < cells(); ++i) {
      const std::uint64_t cell = load(i);
      changed(kEmptyCell, cell);
      if (cell_is_entry(cell)) visit(i, cell);
    }
  }

 private:
  IndexRoot root() const { return IndexRoot::unpack(catalog_.root->index.load(std::memory_order_relaxed)); }

  void put(W* to, std::uint64_t mask, std::uint64_t cell) {
    std::uint64_t position = catalog_.entries[cell_entry(cell)].name_hash.load(std::memory_order_relaxed) & mask;
    while (to[position].load(std::memory_order_relaxed) != kEmptyCell) position = (position + 1) & mask;
    to[position].store(cell, std::memory_order_release);
  }

  BasicCatalogView<W> catalog_;
  std::uint64_t names_ = 0;
  std::uint64_t filled_ = 0;  // names and tombstones
};

using NameIndex = BasicNameIndex<Word>;

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_NAME_INDEX_H_
