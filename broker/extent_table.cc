#include "broker/extent_table.h"

#include <iterator>

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kStep = kPageSize / sizeof(ExtentRecord);

}  // namespace

ExtentTable::ExtentTable(const Catalog& catalog)
    : table_("extents", catalog.tables().extents_offset(), sizeof(ExtentRecord), catalog.tables().extents_limit(),
             kStep) {}

std::uint32_t ExtentTable::add(const Catalog& catalog, const SegmentFile& file, const Extent& extent) {
  if (free_.empty()) {
    const std::uint64_t before = table_.committed();
    table_.ensure(file, before + 1);
    for (std::uint64_t id = table_.committed(); id > before; --id) free_.push_back(static_cast<std::uint32_t>(id - 1));
  }
  const std::uint32_t id = free_.back();
  free_.pop_back();
  ExtentRecord& record = catalog.extent(id);
  record.offset.store(extent.range.offset, std::memory_order_relaxed);
  record.bytes.store(extent.range.bytes, std::memory_order_relaxed);
  record.slot.store(extent.slot, std::memory_order_relaxed);
  record.owner.store(extent.owner, std::memory_order_seq_cst);
  insert(id, extent);
  return id;
}

void ExtentTable::shorten(const Catalog& catalog, std::uint32_t id, std::uint64_t bytes) {
  catalog.extent(id).bytes.store(bytes, std::memory_order_seq_cst);
  by_id_.at(id).range.bytes = bytes;
}

void ExtentTable::remove(const Catalog& catalog, std::uint32_t id) {
  catalog.extent(id).owner.store(0, std::memory_order_seq_cst);
  by_offset_.erase(by_id_.at(id).range.offset);
  by_id_.erase(id);
  free_.push_back(id);
}

void ExtentTable::clear_declined(const Catalog& catalog) {
  for (const std::uint32_t id : declined_) {
    catalog.extent(id).owner.store(0, std::memory_order_seq_cst);
    free_.push_back(id);
  }
  declined_.clear();
}

const Extent* ExtentTable::find(std::uint32_t id) const {
  const auto at = by_id_.find(id);
  return at != by_id_.end() ? &at->second : nullptr;
}

const Extent* ExtentTable::containing(const Range& range) const {
  const auto after = by_offset_.upper_bound(range.offset);
  if (after == by_offset_.begin()) return nullptr;
  const Extent& extent = by_id_.at(std::prev(after)->second);
  return extent.range.contains(range) ? &extent : nullptr;
}

bool ExtentTable::overlaps(const Range& range) const {
  const auto after = by_offset_.lower_bound(range.end());
  return after != by_offset_.begin() && by_id_.at(std::prev(after)->second).range.overlaps(range);
}

std::vector<ExtentTable::PlainRecord> ExtentTable::read_records(const Catalog& catalog, const SegmentFile& file) {
  auto records = file.read<PlainRecord>(catalog.tables().extents_offset(), table_.limit());
  while (!records.empty() && records.back().owner == 0) records.pop_back();
  table_.ensure(file, records.size());
  records.resize(table_.committed());
  return records;
}

void ExtentTable::insert(std::uint32_t id, const Extent& extent) {
  by_id_.emplace(id, extent);
  by_offset_.emplace(extent.range.offset, id);
}

}  // namespace tensorbroker::broker
