// The rebuilding of the name index into the region that is not in force, a slice at a time, so that nobody waits for
// all of it.
//
// First the region's cells are emptied, then the names are put there, with their beginnings, in the order of their
// cells in the index in force, which goes on changing meanwhile: what changes before the place reached is changed in
// both, the rest is taken when its turn comes. So nothing is read back, and one store of the root, when all are there,
// puts the new index in force. Until then nobody looks at it: a broker killed at any moment leaves the old one whole,
// and its successor, which knows nothing of this, begins anew. A template over the word, for the model tests. One
// thread only.

#ifndef TENSORBROKER_BROKER_INDEX_REBUILD_H_
#define TENSORBROKER_BROKER_INDEX_REBUILD_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "proto/catalog_layout.h"
#include "proto/lookup.h"

namespace tensorbroker::broker {

// How many cells are done at once: a page of new ones is emptied, or so many old ones are looked at, each of whose
// names costs two cache lines that no cache has.
struct IndexSlice {
  std::uint64_t emptied = 512;
  std::uint64_t moved = 16;
};

template <class W>
class BasicIndexRebuild {
 public:
  BasicIndexRebuild(const BasicCatalogView<W>& catalog, const IndexSlice& slice) : catalog_(catalog), slice_(slice) {}

  bool under_way() const { return cells_ != 0; }
  // Names and tombstones that were put there so far, or were when it was done.
  std::uint64_t filled() const { return filled_; }

  // Begins, where none is under way: an index of so many cells, a power of two. Until the first name is put there, it
  // can become larger.
  void want(std::uint64_t cells) {
    if (moved_ != 0) return;
    cells_ = std::max(cells_, cells);
    filled_ = 0;
    target_ = catalog_.index[1 - root().region];
  }

  // Does one slice; whether the new index is in force now. `reserve(region, begin, cells)` gives cells their pages;
  // where it throws, nothing was done. REQUIRES: want().
  template <class Reserve>
  bool advance(Reserve&& reserve) {
    const IndexRoot old = root();
    if (emptied_ < cells_) {
      empty(old, reserve);
      return false;
    }
    move(old);
    if (moved_ < std::uint64_t{1} << old.log2_cells) return false;
    put_in_force(old);
    return true;
  }

  // A cell of the index in force has changed.
  void changed(std::uint64_t cell, std::uint64_t before, std::uint64_t after) {
    if (!under_way() || cell >= moved_) return;
    const bool was_there = cell_is_entry(before);
    const std::uint64_t at = find_cell(hash_of(was_there ? before : after), [&](std::uint64_t copied) {
      return was_there ? copied == before : !cell_is_entry(copied);
    });
    if (target_[at].load(std::memory_order_relaxed) == kEmptyCell) ++filled_;
    if (!was_there) copy_beginnings(root().region, cell, at);
    target_[at].store(after, std::memory_order_release);
  }

 private:
  IndexRoot root() const { return IndexRoot::unpack(catalog_.root->index.load(std::memory_order_relaxed)); }
  std::uint64_t hash_of(std::uint64_t cell) const {
    return catalog_.entries[cell_entry(cell)].name_hash.load(std::memory_order_relaxed);
  }

  template <class Reserve>
  void empty(const IndexRoot& old, Reserve&& reserve) {
    const std::uint64_t end = std::min(emptied_ + slice_.emptied, cells_);
    reserve(1U - old.region, emptied_, end - emptied_);
    for (; emptied_ < end; ++emptied_) target_[emptied_].store(kEmptyCell, std::memory_order_release);
  }

  void move(const IndexRoot& old) {
    const W* const from = catalog_.index[old.region];
    const std::uint64_t end = std::min(moved_ + slice_.moved, std::uint64_t{1} << old.log2_cells);
    for (; moved_ < end; ++moved_) {
      const std::uint64_t cell = from[moved_].load(std::memory_order_relaxed);
      if (!cell_is_entry(cell)) continue;
      const std::uint64_t at = find_cell(hash_of(cell), [](std::uint64_t c) { return c == kEmptyCell; });
      copy_beginnings(old.region, moved_, at);
      target_[at].store(cell, std::memory_order_release);
      ++filled_;
    }
  }

  // Of the name in cell `from` of the index in force, which goes to cell `to` of the new one. (What is there of a name
  // that was deleted may stay: a cell without a name is not listed.)
  void copy_beginnings(unsigned region, std::uint64_t from, std::uint64_t to) {
    const std::uint64_t beginnings = catalog_.beginnings[region][from].load(std::memory_order_relaxed);
    catalog_.beginnings[1 - region][to].store(beginnings, std::memory_order_release);
  }

  // The first cell of the chain whose value is such. REQUIRES: there is one.
  template <class IsSuch>
  std::uint64_t find_cell(std::uint64_t hash, IsSuch&& is_such) {
    std::uint64_t position = hash & (cells_ - 1);
    while (!is_such(target_[position].load(std::memory_order_relaxed))) position = (position + 1) & (cells_ - 1);
    return position;
  }

  void put_in_force(const IndexRoot& old) {
    const IndexRoot next{.epoch = old.epoch + 1,
                         .region = static_cast<std::uint8_t>(1 - old.region),
                         .log2_cells = static_cast<std::uint8_t>(std::countr_zero(cells_))};
    catalog_.root->index.store(next.pack(), std::memory_order_seq_cst);
    cells_ = emptied_ = moved_ = 0;
  }

  BasicCatalogView<W> catalog_;
  IndexSlice slice_;
  W* target_ = nullptr;
  std::uint64_t cells_ = 0;  // of the new index; 0: none is under way
  std::uint64_t emptied_ = 0;
  std::uint64_t moved_ = 0;  // cells of the index in force that were looked at
  std::uint64_t filled_ = 0;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_INDEX_REBUILD_H_
