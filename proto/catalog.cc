#include "proto/catalog.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "proto/limits.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr std::uint32_t kWaitWords = 4096;
constexpr std::uint32_t kEvents = 1024;
constexpr std::uint32_t kExtents = 65536;
constexpr std::uint32_t kPins = 65536;
constexpr std::uint64_t kSpareEntries = 65536;       // beyond max_tensors: spares and retired ones
constexpr std::uint64_t kHeapBytesPerTensor = 2048;  // address space only
constexpr std::uint64_t kLeastHeapBytes = 1ULL << 30;

// A time above 0 stays above it.
std::uint64_t milliseconds_of(double seconds) { return static_cast<std::uint64_t>(std::ceil(seconds * 1e3)); }

// Of a word that may be anything: at most what the options allow.
double seconds_of(std::uint64_t milliseconds) {
  return static_cast<double>(std::min<std::uint64_t>(milliseconds, 1'000'000'000'000)) / 1e3;
}

// Hands out page-aligned places in the segment's address space, one table after another.
class TablePlan {
 public:
  std::uint64_t place(std::uint64_t bytes) {
    const std::uint64_t offset = end_;
    end_ += round_up_to_page(bytes);
    return offset;
  }
  std::uint64_t end() const { return end_; }

 private:
  std::uint64_t end_ = kPageSize;
};

}  // namespace

Catalog Catalog::create(const InstanceName& name, std::uint64_t id, const InstanceId& instance,
                        const CatalogOptions& options) {
  const std::uint64_t entries = std::uint64_t{options.max_tensors} + kSpareEntries;
  const std::uint64_t cells = std::bit_ceil(2 * std::max<std::uint64_t>(options.max_tensors, 1024));
  const std::uint64_t heap = std::max(kLeastHeapBytes, options.max_tensors * kHeapBytesPerTensor);
  TablePlan plan;
  const std::uint64_t root_offset = plan.place(sizeof(CatalogRoot));
  const std::uint64_t waits_offset = plan.place(kWaitWords * sizeof(WaitWord));
  const std::uint64_t events_offset = plan.place(kEvents * sizeof(EventRecord));
  const std::uint64_t sessions_offset = plan.place(options.max_sessions * sizeof(SessionRecord));
  const std::uint64_t pins_offset = plan.place(kPins * sizeof(PinRecord));
  const std::uint64_t extents_offset = plan.place(kExtents * sizeof(ExtentRecord));
  const std::uint64_t entries_offset = plan.place(entries * sizeof(Entry));
  const std::uint64_t index_offsets[2] = {plan.place(cells * sizeof(Word)), plan.place(cells * sizeof(Word))};
  const std::uint64_t beginnings_offsets[2] = {plan.place(cells * sizeof(Word)), plan.place(cells * sizeof(Word))};
  const std::uint64_t heap_offset = plan.place(heap);

  flatbuffers::FlatBufferBuilder builder;
  const auto indexes = builder.CreateVector(index_offsets, 2);
  const auto beginnings = builder.CreateVector(beginnings_offsets, 2);
  const auto runtime_dir = builder.CreateString(options.runtime_dir);
  schema::CatalogTablesBuilder tables(builder);
  tables.add_root_offset(root_offset);
  tables.add_waits_offset(waits_offset);
  tables.add_waits_limit(kWaitWords);
  tables.add_events_offset(events_offset);
  tables.add_events_limit(kEvents);
  tables.add_sessions_offset(sessions_offset);
  tables.add_sessions_limit(options.max_sessions);
  tables.add_pins_offset(pins_offset);
  tables.add_pins_limit(kPins);
  tables.add_extents_offset(extents_offset);
  tables.add_extents_limit(kExtents);
  tables.add_entries_offset(entries_offset);
  tables.add_entries_limit(static_cast<std::uint32_t>(entries));
  tables.add_index_offset(indexes);
  tables.add_index_limit(cells);
  tables.add_beginnings_offset(beginnings);
  tables.add_heap_offset(heap_offset);
  tables.add_heap_limit(heap);
  tables.add_arena_id(options.arena_id);
  tables.add_arena_bytes(options.arena_bytes);
  tables.add_max_tensors(options.max_tensors);
  tables.add_max_sessions(options.max_sessions);
  tables.add_created_us(options.created_us);
  tables.add_runtime_dir(runtime_dir);
  const auto finished = tables.Finish();
  builder.FinishSizePrefixed(schema::CreateSegmentHeader(builder,
                                                         builder.CreateString(name.segment(SegmentKind::kCatalog, id)),
                                                         schema::SegmentTables::CatalogTables, finished.Union()));

  Catalog catalog;
  catalog.segment_ = Segment::create(name, SegmentKind::kCatalog, id, plan.end(), instance,
                                     {builder.GetBufferPointer(), builder.GetSize()});
  catalog.bind();
  return catalog;
}

Catalog Catalog::open(const InstanceName& name, std::uint64_t id, Access access) {
  Catalog catalog;
  catalog.segment_ = Segment::open(name, SegmentKind::kCatalog, id, access);
  catalog.bind();
  return catalog;
}

void Catalog::bind() {
  tables_ = segment_.header().tables_as_CatalogTables();
  if (tables_ == nullptr || tables_->index_offset() == nullptr || tables_->index_offset()->size() != 2 ||
      tables_->beginnings_offset() == nullptr || tables_->beginnings_offset()->size() != 2 ||
      !std::has_single_bit(tables_->waits_limit()) || !std::has_single_bit(tables_->events_limit())) {
    throw CorruptSegmentError("the segment " + segment_.name() + " has no table of a catalog's tables");
  }
  const schema::CatalogTables& t = *tables_;
  view_.root = segment_.records<CatalogRoot>(t.root_offset(), 1);
  view_.entries = segment_.records<Entry>(t.entries_offset(), t.entries_limit());
  for (unsigned region = 0; region < 2; ++region) {
    view_.index[region] = segment_.records<Word>(t.index_offset()->Get(region), t.index_limit());
    view_.beginnings[region] = segment_.records<Word>(t.beginnings_offset()->Get(region), t.index_limit());
  }
  view_.index_limit = t.index_limit();
  sessions_ = segment_.records<SessionRecord>(t.sessions_offset(), t.sessions_limit());
  pins_ = segment_.records<PinRecord>(t.pins_offset(), t.pins_limit());
  extents_ = segment_.records<ExtentRecord>(t.extents_offset(), t.extents_limit());
  waits_ = segment_.records<WaitWord>(t.waits_offset(), t.waits_limit());
  wait_mask_ = t.waits_limit() - 1;
  events_ = {segment_.records<EventRecord>(t.events_offset(), t.events_limit()), t.events_limit(), &view_.root->events};
  heap_ = segment_.records<std::byte>(t.heap_offset(), t.heap_limit());
}

void Catalog::record_limits(const CatalogOptions& options) const {
  CatalogRoot& r = root();
  r.capacity.store(options.capacity, std::memory_order_relaxed);
  r.session_limit.store(options.session_limit, std::memory_order_relaxed);
  r.user_limit.store(options.user_limit, std::memory_order_relaxed);
  r.idle_exit_ms.store(milliseconds_of(options.idle_exit_seconds), std::memory_order_relaxed);
  r.prepared.store(options.prepared, std::memory_order_relaxed);
  const Quotas& quotas = options.quotas;
  r.session_tensors.store(quotas.session_tensors, std::memory_order_relaxed);
  r.user_tensors.store(quotas.user_tensors, std::memory_order_relaxed);
  r.user_sessions.store(quotas.user_sessions, std::memory_order_relaxed);
  r.user_connections.store(quotas.user_connections, std::memory_order_relaxed);
  r.process_connections.store(quotas.process_connections, std::memory_order_relaxed);
  r.client_timeout_ms.store(milliseconds_of(quotas.patience_seconds), std::memory_order_relaxed);
}

CatalogOptions Catalog::options() const {
  const schema::CatalogTables& t = *tables_;
  const auto get = [](const Word& word) { return word.load(std::memory_order_relaxed); };
  return {.arena_id = t.arena_id(),
          .arena_bytes = t.arena_bytes(),
          .capacity = get(root().capacity),
          .max_tensors = t.max_tensors(),
          .max_sessions = t.max_sessions(),
          .session_limit = get(root().session_limit),
          .user_limit = get(root().user_limit),
          .idle_exit_seconds = seconds_of(get(root().idle_exit_ms)),
          .prepared = get(root().prepared),
          .created_us = t.created_us(),
          .runtime_dir = t.runtime_dir() != nullptr ? t.runtime_dir()->str() : "",
          .quotas = {.session_tensors = get(root().session_tensors),
                     .user_tensors = get(root().user_tensors),
                     .user_sessions = get(root().user_sessions),
                     .user_connections = get(root().user_connections),
                     .process_connections = get(root().process_connections),
                     .patience_seconds = seconds_of(get(root().client_timeout_ms))}};
}

std::span<const std::byte> Catalog::heap_bytes(HeapRef ref) const noexcept {
  const std::uint64_t committed = root().heap_committed.load(std::memory_order_acquire);
  if (ref.offset > committed || ref.bytes > committed - ref.offset) return {};
  return {heap_ + ref.offset, ref.bytes};
}

void Catalog::fetch_published(std::uint64_t name_hash) const noexcept {
  constexpr std::uint32_t kLine = 64;
  constexpr std::uint32_t kLines = 4;  // of the record of a tensor with a few dimensions
  const PublishedHint hint = PublishedHint::unpack(wait_hint(name_hash).load(std::memory_order_relaxed));
  if (hint.entry >= root().entries_committed.load(std::memory_order_acquire)) return;
  __builtin_prefetch(&entry(hint.entry));
  const std::span<const std::byte> record = heap_bytes({hint.heap_offset, kLines * kLine});
  for (std::size_t at = 0; at < record.size(); at += kLine) __builtin_prefetch(&record[at]);
}

bool Catalog::entry_has_name(EntryId id, std::uint64_t hash, std::string_view name) const noexcept {
  const Entry& e = entry(id);
  if (e.name_hash.load(std::memory_order_relaxed) != hash) return false;
  HeapRecord record;
  return read_heap_record(heap_bytes(HeapRef::unpack(e.header.load(std::memory_order_relaxed))), &record) &&
         record.name == name;
}

HeapRecord Catalog::record(EntryId id) const {
  const Entry& e = entry(id);
  HeapRecord record;
  if (!read_heap_record(heap_bytes(HeapRef::unpack(e.header.load(std::memory_order_relaxed))), &record) ||
      record.generation != retired(e.generation.load(std::memory_order_relaxed))) {
    throw CorruptSegmentError("the header of entry " + std::to_string(id) + " in " + segment_.name() +
                              " does not verify");
  }
  return record;
}

}  // namespace tensorbroker
