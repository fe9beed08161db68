#include "broker/entry_table.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kStep = 1024;  // 64 KiB

constexpr EntryState kFreeState{};
constexpr EntryState kSpareState{.phase = EntryPhase::kSpare};

}  // namespace

EntryTable::EntryTable(const Catalog& catalog)
    : table_("entries", catalog.tables().entries_offset(), sizeof(Entry), catalog.tables().entries_limit(), kStep) {}

void EntryTable::start(const Catalog& catalog, const SegmentFile& file) { grow(catalog, file, kStep); }

void EntryTable::adopt(const Catalog& catalog, const SegmentFile& file) {
  table_.ensure(file, catalog.root().entries_committed.load(std::memory_order_relaxed));
}

EntryId EntryTable::take_spare(const Catalog& catalog, const SegmentFile& file, std::uint64_t owner) {
  if (free_.empty()) grow(catalog, file, table_.committed() + 1);
  const EntryId id = free_.front();
  free_.pop_front();
  Entry& entry = catalog.entry(id);
  entry.owner.store(owner, std::memory_order_relaxed);
  entry.state.store(kSpareState.pack(), std::memory_order_release);
  return id;
}

void EntryTable::release(const Catalog& catalog, EntryId id) {
  catalog.entry(id).state.store(kFreeState.pack(), std::memory_order_release);
  free_.push_back(id);
}

void EntryTable::grow(const Catalog& catalog, const SegmentFile& file, std::uint64_t entries) {
  const std::uint64_t before = table_.committed();
  table_.ensure(file, entries);
  for (std::uint64_t id = before; id < table_.committed(); ++id) free_.push_back(static_cast<EntryId>(id));
  catalog.root().entries_committed.store(table_.committed(), std::memory_order_release);
}

}  // namespace tensorbroker::broker
