// What of a session's extents goes back to the broker.

#include <iterator>
#include <utility>

#include "client/block_allocator.h"
#include "client/block_extent.h"

namespace tensorbroker {

// The whole of an empty extent could go back, or the end of one for large blocks. Small ones will find the end of
// theirs soon.
void BlockAllocator::note_idle(Extent& extent) {
  const std::uint64_t idle = extent.for_all || extent.shortening ? 0
                             : extent.occupied == 0              ? extent.own.bytes
                             : extent.is_large                   ? extent.free_end()
                                                                 : 0;
  if (idle == 0 && !extent.is_noted) return;
  extent.is_noted = idle != 0;
  idle_.set(extent.own.offset, idle);
}

// Has what is idle count as reserved ahead, up to about so many bytes; returns how many are. REQUIRES: the lock.
std::uint64_t BlockAllocator::reserve_idle(std::uint64_t bytes) {
  for (const auto& [offset, extent] : extents_) {
    if (reserved_free_ >= bytes) break;
    if (!extent->is_large || extent->for_all || extent->free() == 0) continue;
    extent->for_all = true;
    reserved_free_ += extent->free();
    note_idle(*extent);
  }
  return reserved_free_;
}

// Called for each block that was placed, or is about to be. REQUIRES: the lock.
void BlockAllocator::give_up_idle(std::uint64_t placed) {
  std::uint64_t given = 0;
  while (given <= IdleExtents::kPace * placed) {
    const auto due = idle_.due(extent_bytes_ - occupied_ - reserved_free_, occupied_);
    if (!due) return;
    Extent& extent = *extents_.at(due->offset);
    given += due->bytes;
    if (!claim(extent) || extent.occupied == 0) {
      drop(extent);
    } else {
      shorten(extent);
    }
  }
}

// Cuts off the free pages at the extent's end.
void BlockAllocator::shorten(Extent& extent) {
  const std::uint64_t bytes = extent.free_end();
  const auto [offset, length] = *extent.runs.rbegin();
  runs_of(extent).erase({length, offset});
  extent.runs.erase(offset);
  if (length > bytes) add_run(extent, offset, length - bytes);
  dropped_.push_back({.extent = extent.own, .keep = extent.own.bytes - bytes});
  extent.own.bytes -= bytes;
  extent_bytes_ -= bytes;
  extent.shortening = true;
  note_idle(extent);
}

// Forgets an extent without drafts; it is given back once the lock is free. REQUIRES: it is empty, or the broker has
// taken it, and so reclaimed all that was published in it.
void BlockAllocator::drop(Extent& extent) {
  for (const auto& [offset, bytes] : extent.runs) runs_of(extent).erase({bytes, offset});
  if (extent.for_all) reserved_free_ -= extent.free();
  const auto end = blocks_.lower_bound(extent.end());
  for (auto at = blocks_.lower_bound(extent.own.offset); at != end; at = blocks_.erase(at))
    occupied_ -= at->second.bytes;
  idle_.set(extent.own.offset, 0);
  extent_bytes_ -= extent.own.bytes;
  if (!extent.is_large) small_extent_bytes_ -= extent.own.bytes;
  dropped_.push_back({.extent = extent.own});
  extents_.erase(extent.own.offset);
}

void BlockAllocator::drop_taken() {
  for (auto at = extents_.begin(); at != extents_.end();) {
    Extent& extent = *(at++)->second;
    if (!extent.claimed && extent.is_taken()) drop(extent);
  }
}

void BlockAllocator::give_back_dropped() {
  std::vector<GivenBack> dropped;
  std::uint64_t epoch = 0;
  {
    const std::lock_guard held(mutex_);
    if (dropped_.empty()) return;
    dropped.swap(dropped_);
    epoch = source_.epoch();
  }
  source_.give_back(dropped, epoch);
  end_shortening(dropped);
}

// The broker is told now. Until then the extent was claimed, so that whatever else becomes of it is told later: its id
// may be another extent's by then.
void BlockAllocator::end_shortening(const std::vector<GivenBack>& given) {
  const std::lock_guard held(mutex_);
  for (const GivenBack& g : given) {
    if (g.keep == 0) continue;
    Extent& extent = *extents_.at(g.extent.offset);
    extent.shortening = false;
    if (extent.drafts == 0) unclaim(extent);
    note_idle(extent);
  }
}

}  // namespace tensorbroker
