#include "broker/header_heap.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kStep = 64 * 1024;

}  // namespace

HeaderHeap::HeaderHeap(const Catalog& catalog)
    : table_("headers' bytes", catalog.tables().heap_offset(), 1, catalog.tables().heap_limit(), kStep) {}

void HeaderHeap::start(const Catalog& catalog, const SegmentFile& file) { grow(catalog, file, kStep); }

void HeaderHeap::adopt(const Catalog& catalog, const SegmentFile& file) {
  table_.ensure(file, catalog.root().heap_committed.load(std::memory_order_relaxed));
  free_.insert({0, table_.committed()});
}

bool HeaderHeap::claim(HeapRef ref) {
  const Range place = place_of(ref);
  const std::vector<Range> taken = free_.erase(place);
  return taken.size() == 1 && taken.front() == place;
}

HeapRef HeaderHeap::allocate(const Catalog& catalog, const SegmentFile& file, std::uint32_t bytes) {
  const std::uint64_t padded = round_up(bytes, kUnit);
  std::uint64_t offset = 0;
  if (!take_at_hand(padded, &offset)) offset = take_best_fit(catalog, file, padded);
  return {offset, bytes};
}

std::uint64_t HeaderHeap::take_best_fit(const Catalog& catalog, const SegmentFile& file, std::uint64_t bytes) {
  std::optional<Range> fit = free_.best_fit(bytes);
  if (!fit) {
    give_up_at_hand();
    fit = free_.best_fit(bytes);
  }
  if (!fit) {
    grow(catalog, file, table_.committed() - free_.ending_at(table_.committed()).bytes + bytes);
    fit = free_.best_fit(bytes);
  }
  free_.erase({fit->offset, bytes});
  return fit->offset;
}

void HeaderHeap::free(HeapRef ref) {
  const Range place = place_of(ref);
  if (!keep_at_hand(place)) free_.insert(place);
}

bool HeaderHeap::take_at_hand(std::uint64_t bytes, std::uint64_t* offset) {
  const std::uint64_t units = bytes / kUnit;
  if (units > kUnitsAtHand || at_hand_[units].empty()) return false;
  *offset = at_hand_[units].back();
  at_hand_[units].pop_back();
  --places_at_hand_;
  return true;
}

bool HeaderHeap::keep_at_hand(const Range& place) {
  const std::uint64_t units = place.bytes / kUnit;
  if (units > kUnitsAtHand || places_at_hand_ == kMostAtHand) return false;
  at_hand_[units].push_back(place.offset);
  ++places_at_hand_;
  return true;
}

// They are joined with what is free beside them.
void HeaderHeap::give_up_at_hand() {
  for (std::size_t units = 0; units < at_hand_.size(); ++units) {
    for (const std::uint64_t offset : at_hand_[units]) free_.insert({offset, units * kUnit});
    at_hand_[units].clear();
  }
  places_at_hand_ = 0;
}

void HeaderHeap::grow(const Catalog& catalog, const SegmentFile& file, std::uint64_t bytes) {
  const std::uint64_t before = table_.committed();
  table_.ensure(file, bytes);
  free_.insert({before, table_.committed() - before});
  catalog.root().heap_committed.store(table_.committed(), std::memory_order_release);
}

}  // namespace tensorbroker::broker
