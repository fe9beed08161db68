#include "broker/block_map.h"

#include <algorithm>
#include <iterator>

#include "proto/limits.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t round_down_to_page(std::uint64_t n) { return n / kPageSize * kPageSize; }

}  // namespace

EntryId BlockMap::overlapping(const Range& range) const {
  const auto after = blocks_.lower_bound(range.end());
  if (range.empty() || after == blocks_.begin()) return kNoEntry;
  const auto& [offset, block] = *std::prev(after);
  return offset + block.first > range.offset ? block.second : kNoEntry;
}

void BlockMap::insert(const Range& block, EntryId entry) {
  if (!block.empty()) blocks_.emplace(block.offset, std::pair{block.bytes, entry});
}

void BlockMap::erase(const Range& block) {
  if (!block.empty()) blocks_.erase(block.offset);
}

std::vector<Range> BlockMap::covered_pages(const Range& range) const {
  std::vector<Range> covered;
  auto at = blocks_.lower_bound(range.offset);
  if (at != blocks_.begin() && std::prev(at)->first + std::prev(at)->second.first > range.offset) --at;
  for (; at != blocks_.end() && at->first < range.end(); ++at) {
    const std::uint64_t begin = std::max(round_down_to_page(at->first), range.offset);
    const std::uint64_t end = std::min(round_up_to_page(at->first + at->second.first), range.end());
    if (!covered.empty() && covered.back().end() >= begin) {
      covered.back().bytes = end - covered.back().offset;
    } else {
      covered.push_back({begin, end - begin});
    }
  }
  return covered;
}

Range BlockMap::pages_of_its_own(const Range& block) const {
  if (block.empty()) return {};
  std::uint64_t begin = round_down_to_page(block.offset);
  std::uint64_t end = round_up_to_page(block.end());
  const auto after = blocks_.lower_bound(block.end());
  if (after != blocks_.end() && after->first < end) end = round_down_to_page(after->first);
  const auto itself = blocks_.lower_bound(block.offset);
  if (itself != blocks_.begin()) {
    const std::uint64_t previous_end = std::prev(itself)->first + std::prev(itself)->second.first;
    if (previous_end > begin) begin = round_up_to_page(previous_end);
  }
  return begin < end ? Range{begin, end - begin} : Range{};
}

}  // namespace tensorbroker::broker
