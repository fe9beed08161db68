// The name index as its one writer sees it: where a name's cell is, where a new one goes, and when names and tombstones
// fill it so far that it is rebuilt into the other region.
//
// Cells never move within one index. A rebuilt index becomes visible by one store of the root, whose epoch readers
// compare. It is begun at five eighths and goes on with each new name, so that it is in force before three quarters
// are filled. A template over the word, for the model tests. One thread only; readers use proto/lookup.h.

#ifndef TENSORBROKER_BROKER_NAME_INDEX_H_
#define TENSORBROKER_BROKER_NAME_INDEX_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "broker/index_rebuild.h"
#include "proto/catalog_layout.h"
#include "proto/lookup.h"

namespace tensorbroker::broker {

template <class W>
class BasicNameIndex {
 public:
  static constexpr std::uint64_t kLeastCells = 4096;

  explicit BasicNameIndex(const BasicCatalogView<W>& catalog, const IndexSlice& slice = {})
      : catalog_(catalog), next_(catalog, slice) {}

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
  // Names and tombstones.
  std::uint64_t filled() const { return filled_; }

  // A cell has changed, and the mutation is over.
  void changed(std::uint64_t cell, std::uint64_t before, std::uint64_t after) {
    count_change(before, after);
    next_.changed(cell, before, after);
  }

  // Whether one more cell may be filled: at most three quarters are.
  bool has_room() const { return 4 * (filled_ + 1) <= 3 * cells(); }

  // Has the processor fetch the cell for the store to come.
  void fetch(std::uint64_t cell) const { __builtin_prefetch(&catalog_.index[root().region][cell], 1); }

  // The same for the beginnings of a new name, which are stored before all else.
  void fetch_beginnings(std::uint64_t cell) const { __builtin_prefetch(&catalog_.beginnings[root().region][cell], 1); }
  // Has a cell's beginnings be those of its name, as a successor does.
  void mend_beginnings(std::uint64_t cell, std::uint64_t beginnings) {
    W& word = catalog_.beginnings[root().region][cell];
    if (word.load(std::memory_order_relaxed) != beginnings) word.store(beginnings, std::memory_order_release);
  }

  // To be called before each new name: does a slice of the rebuilding that is under way or due, all of it where
  // there is no room any more. Whether another index is in force now. `reserve(region, begin, cells)` gives its pages;
  // where it throws, no name's cell has changed.
  template <class Reserve>
  bool make_room(Reserve&& reserve) {
    if (!next_.under_way() && 8 * (filled_ + 1) <= 5 * cells()) return false;
    return has_room() ? advance(reserve) : rebuild(reserve);
  }

  // One slice, due or not.
  template <class Reserve>
  bool advance(Reserve&& reserve) {
    next_.want(wanted_cells());
    if (!next_.advance(reserve)) return false;
    filled_ = next_.filled();
    return true;
  }

  // All of it at once.
  template <class Reserve>
  bool rebuild(Reserve&& reserve) {
    while (!advance(reserve)) {
    }
    return true;
  }

  // Counts afresh, as a successor does. `visit(position, cell)` is called for every cell that names an entry.
  template <class Visit>
  void count(Visit&& visit) {
    names_ = filled_ = 0;
    for (std::uint64_t i = 0; i < cells(); ++i) {
      const std::uint64_t cell = load(i);
      count_change(kEmptyCell, cell);
      if (cell_is_entry(cell)) visit(i, cell);
    }
  }

 private:
  IndexRoot root() const { return IndexRoot::unpack(catalog_.root->index.load(std::memory_order_relaxed)); }

  void count_change(std::uint64_t before, std::uint64_t after) {
    if (cell_is_entry(before)) --names_;
    if (cell_is_entry(after)) ++names_;
    if (before == kEmptyCell && after != kEmptyCell) ++filled_;
  }

  // Room for four times the names that there are. And a quarter of the cells that there are: a slice comes before each
  // name that is new meanwhile, so those are at most a sixteenth, and leave three quarters of the new index empty.
  std::uint64_t wanted_cells() const {
    const std::uint64_t wanted = std::max({kLeastCells, std::bit_ceil(4 * (names_ + 1)), cells() / 4});
    return std::min(wanted, catalog_.index_limit);
  }

  BasicCatalogView<W> catalog_;
  BasicIndexRebuild<W> next_;
  std::uint64_t names_ = 0;
  std::uint64_t filled_ = 0;
};

using NameIndex = BasicNameIndex<Word>;

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_NAME_INDEX_H_
