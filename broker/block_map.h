// Where the blocks of entries lie in the arena, so that a new one is known to overlap none, and so that it is known
// which pages a block leaves empty when it goes.
//
// Not thread safe. Blocks without bytes are not in it. Blocks may share a page, never a byte.

#ifndef TENSORBROKER_BROKER_BLOCK_MAP_H_
#define TENSORBROKER_BROKER_BLOCK_MAP_H_

#include <cstdint>
#include <map>
#include <vector>

#include "broker/range.h"
#include "proto/catalog_layout.h"

namespace tensorbroker::broker {

class BlockMap {
 public:
  // The entry whose block has a byte in common with `range`, or kNoEntry.
  EntryId overlapping(const Range& range) const;
  // REQUIRES: overlaps none.
  void insert(const Range& block, EntryId entry);
  // REQUIRES: inserted before.
  void erase(const Range& block);

  // Calls `visit(block, entry)` for each block that begins in `range`.
  template <class Visit>
  void for_each_in(const Range& range, Visit&& visit) const {
    for (auto at = blocks_.lower_bound(range.offset); at != blocks_.end() && at->first < range.end(); ++at) {
      visit(Range{at->first, at->second.first}, at->second.second);
    }
  }
  // The pages of `range` (whole pages) that some block touches, joined, ascending.
  std::vector<Range> covered_pages(const Range& range) const;
  // The pages that this block touches and no other does: whole pages, possibly none.
  Range pages_of_its_own(const Range& block) const;

 private:
  std::map<std::uint64_t, std::pair<std::uint64_t, EntryId>> blocks_;  // offset -> bytes, entry
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_BLOCK_MAP_H_
