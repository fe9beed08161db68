// Places for heap records in the catalog's heap: multiples of 64 bytes, best fit, grown as needed.
//
// Not thread safe. What is free is known here only, and rebuilt from the entries by a successor.

#ifndef TENSORBROKER_BROKER_HEADER_HEAP_H_
#define TENSORBROKER_BROKER_HEADER_HEAP_H_

#include <cstdint>

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
  void grow(const Catalog& catalog, const SegmentFile& file, std::uint64_t bytes);

  GrowingTable table_;
  RangeSet free_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_HEADER_HEAP_H_
