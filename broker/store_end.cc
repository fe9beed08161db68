#include "broker/state.h"
#include "broker/store.h"

namespace tensorbroker::broker {

void Store::close_root() {
  State& s = *state_;
  if (s.closed) return;
  s.closed = true;
  s.catalog.root().index.store(kClosedRoot, std::memory_order_seq_cst);
  s.wake_all();
}

bool Store::catalog_is_truncated() const {
  const Segment& segment = state_->catalog.segment();
  return segment.truncation().any() || state_->file.size() < segment.size();
}

// One who holds a single tensor would otherwise keep the whole arena in memory.
void Store::punch_unneeded() {
  State& s = *state_;
  RangeSet unneeded;
  unneeded.insert({kPageSize, s.options.arena_bytes - kPageSize});
  for (const auto& [id, extent] : s.extents.all()) unneeded.erase(extent.range);
  const std::vector<bool> held = s.held_entries();
  for (EntryId id = 0; id < held.size(); ++id) {
    if (!held[id]) continue;
    const Range block = s.block_of(id);
    const std::uint64_t begin = block.offset / kPageSize * kPageSize;
    unneeded.erase({begin, round_up_to_page(block.end()) - begin});
  }
  for (const Range& range : unneeded.ranges()) s.arena.punch(range);
}

void Store::unlink_all() {
  State& s = *state_;
  if (!catalog_is_truncated()) punch_unneeded();  // else nothing says what is held
  while (!s.sessions.empty()) s.forget(s.sessions.begin()->first);
  unlink_segment(s.arena.name());
  unlink_segment(s.file.name());  // last: a successor that finds it finishes what is left
}

}  // namespace tensorbroker::broker
