// Places for heap records in the catalog's heap: multiples of 64 bytes, best fit, grown as needed.
//
// Most records are as small as the ones freed just before, and take their places: a few are kept at hand for that.
// Not thread safe. What is free is known here only, and rebuilt from the entries by a successor.

#ifndef TENSORBROKER_BROKER_HEADER_HEAP_H_
#define TENSORBROKER_BROKER_HEADER_HEAP_H_

#include <array>
#include <cstdint>
#include <vector>

#include "broker/growing_table.h"
#include "broker/range_set.h"
#include "proto/catalog.h"

namespace tensorbroker::broker {

class HeaderHeap {
 public:
  explicit HeaderHeap(const Catalog& catalog);

  // Reserves the first pages of a new catalog's heap.
  void start(const Catalog& catalog, const SegmentFile& file);
  // All that the catalog says is committed becomes free; claim() then takes out what entries use. False: a record that
  // lies beyond what is committed or where another one lies.
  void adopt(const Catalog& catalog, const SegmentFile& file);
  bool claim(HeapRef ref);

  // Throws OutOfMemoryError, nothing having changed.
  HeapRef allocate(const Catalog& catalog, const SegmentFile& file, std::uint32_t bytes);
  void free(HeapRef ref);

 private:
  static constexpr std::uint64_t kUnit = 64;
  static constexpr std::size_t kUnitsAtHand = 8;  // of the largest place that is kept at hand
  static constexpr std::size_t kMostAtHand = 256;

  static Range place_of(HeapRef ref) { return {ref.offset, round_up(ref.bytes, kUnit)}; }
  bool take_at_hand(std::uint64_t bytes, std::uint64_t* offset);
  bool keep_at_hand(const Range& place);
  std::uint64_t take_best_fit(const Catalog& catalog, const SegmentFile& file, std::uint64_t bytes);
  void give_up_at_hand();
  void grow(const Catalog& catalog, const SegmentFile& file, std::uint64_t bytes);

  GrowingTable table_;
  RangeSet free_;                                                     // the rest of what is free
  std::array<std::vector<std::uint64_t>, kUnitsAtHand + 1> at_hand_;  // offsets, by size in units
  std::size_t places_at_hand_ = 0;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_HEADER_HEAP_H_
