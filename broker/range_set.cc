#include "broker/range_set.h"

#include <algorithm>
#include <iterator>

namespace tensorbroker::broker {

void RangeSet::add(const Range& range) {
  by_offset_.emplace(range.offset, range.bytes);
  by_size_.emplace(range.bytes, range.offset);
  bytes_ += range.bytes;
}

RangeSet::ByOffset::iterator RangeSet::drop(ByOffset::iterator at) {
  by_size_.erase({at->second, at->first});
  bytes_ -= at->second;
  return by_offset_.erase(at);
}

void RangeSet::insert(Range range) {
  if (range.empty()) return;
  auto at = by_offset_.upper_bound(range.offset);
  if (at != by_offset_.begin() && std::prev(at)->first + std::prev(at)->second >= range.offset) --at;
  while (at != by_offset_.end() && at->first <= range.end()) {
    const std::uint64_t end = std::max(range.end(), at->first + at->second);
    range.offset = std::min(range.offset, at->first);
    range.bytes = end - range.offset;
    at = drop(at);
  }
  add(range);
}

std::vector<Range> RangeSet::erase(const Range& range) {
  std::vector<Range> taken;
  if (range.empty()) return taken;
  auto at = by_offset_.upper_bound(range.offset);
  if (at != by_offset_.begin() && std::prev(at)->first + std::prev(at)->second > range.offset) --at;
  while (at != by_offset_.end() && at->first < range.end()) {
    const Range whole{at->first, at->second};
    at = drop(at);
    const std::uint64_t begin = std::max(whole.offset, range.offset);
    const std::uint64_t end = std::min(whole.end(), range.end());
    taken.push_back({begin, end - begin});
    if (whole.offset < begin) add({whole.offset, begin - whole.offset});
    if (end < whole.end()) add({end, whole.end() - end});
  }
  return taken;
}

std::optional<Range> RangeSet::best_fit(std::uint64_t bytes) const {
  const auto at = by_size_.lower_bound({bytes, 0});
  if (at == by_size_.end()) return std::nullopt;
  return Range{at->second, at->first};
}

Range RangeSet::ending_at(std::uint64_t end) const {
  auto at = by_offset_.lower_bound(end);
  if (at == by_offset_.begin()) return {};
  --at;
  return at->first + at->second == end ? Range{at->first, at->second} : Range{};
}

Range RangeSet::last() const { return {by_offset_.rbegin()->first, by_offset_.rbegin()->second}; }

Range RangeSet::longest() const {
  return by_size_.empty() ? Range{} : Range{by_size_.rbegin()->second, by_size_.rbegin()->first};
}

std::vector<Range> RangeSet::ranges() const {
  std::vector<Range> all;
  all.reserve(by_offset_.size());
  for (const auto& [offset, bytes] : by_offset_) all.push_back({offset, bytes});
  return all;
}

}  // namespace tensorbroker::broker
