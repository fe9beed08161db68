#include "broker/header_heap.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kUnit = 64;
constexpr std::uint64_t kStep = 64 * 1024;

Range place_of(HeapRef ref) { return {ref.offset, round_up(ref.bytes, kUnit)}; }

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
  std::optional<Range> fit = free_.best_fit(padded);
  if (!fit) {
    grow(catalog, file, table_.committed() - free_.ending_at(table_.committed()).bytes + padded);
    fit = free_.best_fit(padded);
  }
  free_.erase({fit->offset, padded});
  return {fit->offset, bytes};
}

void HeaderHeap::free(HeapRef ref) { free_.insert(place_of(ref)); }

void HeaderHeap::grow(const Catalog& catalog, const SegmentFile& file, std::uint64_t bytes) {
  const std::uint64_t before = table_.committed();
  table_.ensure(file, bytes);
  free_.insert({before, table_.committed() - before});
  catalog.root().heap_committed.store(table_.committed(), std::memory_order_release);
}

}  // namespace tensorbroker::broker
