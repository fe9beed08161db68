// A run of bytes [offset, offset + bytes): of the arena, in whole pages, or of the catalog's heap.
//
// A value. Offsets into the arena count from the start of its file, whose first page is the segment's header.

#ifndef TENSORBROKER_BROKER_RANGE_H_
#define TENSORBROKER_BROKER_RANGE_H_

#include <cstdint>

namespace tensorbroker::broker {

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;

  constexpr std::uint64_t end() const { return offset + bytes; }
  constexpr bool empty() const { return bytes == 0; }
  constexpr bool overlaps(const Range& other) const { return offset < other.end() && other.offset < end(); }
  constexpr bool contains(const Range& other) const { return offset <= other.offset && other.end() <= end(); }
  friend constexpr bool operator==(const Range&, const Range&) = default;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_RANGE_H_
