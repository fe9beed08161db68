// What the block allocator knows of one extent.

#ifndef TENSORBROKER_CLIENT_BLOCK_EXTENT_H_
#define TENSORBROKER_CLIENT_BLOCK_EXTENT_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "client/block_allocator.h"
#include "proto/limits.h"

namespace tensorbroker {

struct BlockAllocator::Extent {
  OwnExtent own;
  bool is_large = false;
  bool for_all = false;     // reserved ahead: no block is too short for it
  bool claimed = true;      // its state word says used: drafts are in it, or are just being placed
  bool is_noted = false;    // idle memory is noted of it
  bool shortening = false;  // its end is being given back: it stays claimed, and is neither cut nor dropped, until done
  std::uint64_t occupied = 0;
  std::size_t drafts = 0;
  std::map<std::uint64_t, std::uint64_t> runs;  // free: bytes by offset

  std::uint64_t end() const { return own.offset + own.bytes; }
  std::uint64_t free() const { return own.bytes - occupied; }
  // Bytes of the whole pages that are free at its end. (Where memory is short, a small block lies in front of them.)
  std::uint64_t free_end() const {
    if (runs.empty() || runs.rbegin()->first + runs.rbegin()->second != end()) return 0;
    return end() - round_up_to_page(runs.rbegin()->first);
  }
  bool is_taken() const {
    return own.state->load(std::memory_order_seq_cst) == static_cast<std::uint64_t>(ExtentState::kTaken);
  }
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_BLOCK_EXTENT_H_
