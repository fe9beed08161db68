#include "broker/page_pool.h"

#include <algorithm>

namespace tensorbroker::broker {

void PagePool::give(const Range& range, Warmth warmth) {
  free_.insert(range);
  if (warmth == Warmth::kWarm) warm_.insert(range);
  if (warmth == Warmth::kUnknown) unknown_.insert(range);
}

std::optional<PagePool::Take> PagePool::take(std::uint64_t bytes) {
  std::optional<Range> fit = warm_.best_fit(bytes);
  if (!fit) fit = free_.best_fit(bytes);
  if (!fit) return std::nullopt;
  Take take{.range = {fit->offset, bytes}, .punch = {}, .reserve = {}};
  free_.erase(take.range);
  take.punch = unknown_.erase(take.range);
  RangeSet without_memory;
  without_memory.insert(take.range);
  for (const Range& warm : warm_.erase(take.range)) without_memory.erase(warm);
  take.reserve = without_memory.ranges();
  return take;
}

void PagePool::untake(const Take& take) {
  give(take.range, Warmth::kWarm);
  for (const Range& range : take.reserve) warm_.erase(range);
  for (const Range& range : take.punch) unknown_.insert(range);
}

Range PagePool::take_cold(std::uint64_t bytes) {
  RangeSet cold;
  cold.insert(free_.longest());
  for (const Range& range : warm_.ranges()) cold.erase(range);
  for (const Range& range : unknown_.ranges()) cold.erase(range);
  if (cold.empty()) return {};
  const Range first = cold.ranges().front();
  const Range taken{first.offset, std::min(first.bytes, bytes)};
  exclude(taken);
  return taken;
}

void PagePool::exclude(const Range& range) {
  free_.erase(range);
  warm_.erase(range);
  unknown_.erase(range);
}

Range PagePool::carve_last(RangeSet& from, std::uint64_t limit) {
  Range range = from.last();
  if (range.bytes > limit) range = {range.end() - limit, limit};
  exclude(range);
  return range;
}

std::vector<Range> PagePool::trim(std::uint64_t bytes) {
  std::vector<Range> trimmed;
  while (bytes > 0 && !warm_.empty()) {
    trimmed.push_back(carve_last(warm_, bytes));
    bytes -= trimmed.back().bytes;
  }
  return trimmed;
}

std::vector<Range> PagePool::take_punch_work(std::uint64_t warm_bound, std::uint64_t limit) {
  std::vector<Range> work;
  while (limit > 0 && !unknown_.empty()) {
    work.push_back(carve_last(unknown_, limit));
    limit -= work.back().bytes;
  }
  if (warm_.bytes() > warm_bound) {
    for (const Range& range : trim(std::min(limit, warm_.bytes() - warm_bound))) work.push_back(range);
  }
  return work;
}

}  // namespace tensorbroker::broker
