#include "tests/fuzz/killed_instance.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "proto/header.h"
#include "proto/own_file.h"
#include "tests/fuzz/choices.h"

namespace tensorbroker::fuzz {
namespace {

using broker::Reservation;
using broker::Store;

constexpr std::uint64_t kCapacity = 1 << 20;
constexpr std::uint32_t kWaits = 8;
constexpr std::uint32_t kPins = 32;
constexpr std::uint32_t kExtents = 32;
constexpr std::uint32_t kEntries = 64;
constexpr std::uint64_t kHeapBytes = 4096;
constexpr std::uint8_t kLog2Cells = 5;
constexpr std::size_t kSessionWords = 64;  // of each of its tables, that are changed
constexpr const char* kKept = ".kept";

std::vector<std::byte> header_of(std::uint64_t elements, const char* member) {
  const TensorSpec spec{
      .name = member, .dtype = kUInt8, .sizes = {static_cast<std::int64_t>(elements)}, .strides = {1}, .offset = 0};
  return encode_header({&spec, 1}, "{}");
}

// A session's client, as far as the store sees it.
struct Client {
  Store& store;
  std::uint64_t id;
  std::uint64_t sequence = 0;

  std::uint64_t grant(std::uint64_t bytes) const {
    const Reservation reservation = store.begin_grant(id, bytes);
    require(store.arena().prepare(reservation.punch, reservation.reserve) == 0, "there is memory");
    return store.finish_grant(reservation).range.offset;
  }
  EntryId publish(const char* name, std::uint64_t offset, std::uint64_t bytes, bool is_bundle = false) {
    const EntryId entry = store.grant_spares(id, 1).at(0);
    const auto header = header_of(bytes, is_bundle ? "member" : "");
    store.publish(id, ++sequence,
                  {.entry = entry,
                   .name = name,
                   .header = header,
                   .block_offset = offset,
                   .block_bytes = bytes,
                   .is_bundle = is_bundle});
    return entry;
  }
  std::uint64_t generation(EntryId entry) const { return store.catalog().entry(entry).generation.load(); }
};

// The header's field in place, as flatc's mutators would.
template <class Number>
void set_field(const schema::CatalogTables& tables, flatbuffers::voffset_t field, Number value) {
  auto* table = const_cast<flatbuffers::Table*>(reinterpret_cast<const flatbuffers::Table*>(&tables));
  require(table->SetField<Number>(field, value), "the header has the field");
}

}  // namespace

KilledInstance::KilledInstance() : name_{.uid = geteuid(), .instance = "fuzz-killed"} {
  make();
  map_catalog();
  for (const std::uint64_t session : sessions_) map_session(session);
}

void KilledInstance::make() {
  Store store = Store::create(name_, InstanceId{7},
                              {.capacity = kCapacity, .max_tensors = 64, .max_sessions = 4, .created_us = kYear2026});
  catalog_id_ = store.catalog_id();
  Client first{store, store.add_session(1000, 42)};
  Client second{store, store.add_session(1000, 43)};
  const std::uint64_t heir = store.add_session(1000, 42, first.id);
  sessions_ = {first.id, second.id, heir};
  const std::uint64_t mine = first.grant(16 * kPageSize);
  first.grant(kPageSize);
  const std::uint64_t its = second.grant(4 * kPageSize);
  first.publish("a", mine, 64);
  first.publish("b", mine + 64, 5000);
  first.publish("b", mine + 2 * kPageSize, 5000);
  const EntryId deleted = first.publish("c", mine + 4 * kPageSize, 100);
  const EntryId sent = first.publish("", mine + 5 * kPageSize, 100);
  second.publish("d", its, kPageSize, true);
  second.publish("e", 0, 0);
  store.send(sent, first.generation(sent), 5, first.id);
  store.pin_name(second.id, "a");
  store.session_mapping(second.id).lease(0).store(lease_of(deleted));
  store.session_mapping(second.id).control().lease_high_water.store(1);
  store.remove(first.id, ++first.sequence, "c", first.generation(deleted));
  store.grant_spares(first.id, 2);
  shorten_index(store.catalog());
  base_ = map(store.catalog().segment().name());
  map(store.arena().name());
}

// A file that has a second name, so that it is there again when a successor has removed the first.
std::byte* KilledInstance::map(const std::string& segment) {
  segments_.push_back(segment);
  kernel_.link(segment, segment + kKept);
  const ScopedDescriptor fd(open_segment_file(segment, Access::kReadWrite, geteuid()));
  return static_cast<std::byte*>(kernel_.map(fd.get()));
}

// All names into an index that is full sooner, and looked through sooner.
void KilledInstance::shorten_index(const Catalog& catalog) {
  CatalogRoot& root = catalog.root();
  const std::uint64_t committed = root.entries_committed.load();
  IndexRoot index = IndexRoot::unpack(root.index.load());
  Word* const cells = catalog.view().index[index.region];
  std::vector<std::uint64_t> names;
  for (std::uint64_t cell = 0; cell >> index.log2_cells == 0; ++cell) {
    const std::uint64_t word = cells[cell].exchange(kEmptyCell);
    if (word != kEmptyCell && word != kTombstone) names.push_back(word);
  }
  for (const std::uint64_t word : names) {
    std::uint64_t at = catalog.entry(cell_entry(word)).name_hash.load();
    while (cells[at % (1 << kLog2Cells)].load() != kEmptyCell) ++at;
    cells[at % (1 << kLog2Cells)].store(word);
  }
  cells[0].store(cells[0].load() == kEmptyCell ? kTombstone : cells[0].load());
  index.log2_cells = kLog2Cells;
  root.index.store(index.pack());
  require(committed > kEntries && root.heap_committed.load() > kHeapBytes, "tables are made shorter");
  root.entries_committed.store(kEntries);
  root.heap_committed.store(kHeapBytes);
}

void KilledInstance::shorten_tables() {
  // The length of the header comes first.
  const schema::SegmentHeader& header = *flatbuffers::GetSizePrefixedRoot<schema::SegmentHeader>(base_ + 128);
  const schema::CatalogTables& t = *header.tables_as_CatalogTables();
  using T = schema::CatalogTables;
  set_field<std::uint32_t>(t, T::VT_WAITS_LIMIT, kWaits);
  set_field<std::uint32_t>(t, T::VT_PINS_LIMIT, kPins);
  set_field<std::uint32_t>(t, T::VT_EXTENTS_LIMIT, kExtents);
  set_field<std::uint32_t>(t, T::VT_ENTRIES_LIMIT, kEntries);
  set_field<std::uint64_t>(t, T::VT_INDEX_LIMIT, 1 << kLog2Cells);
  set_field<std::uint64_t>(t, T::VT_HEAP_LIMIT, kHeapBytes);
}

void KilledInstance::map_catalog() {
  shorten_tables();
  std::byte* const base = base_;
  const Catalog catalog = Catalog::open(name_, catalog_id_, Access::kReadOnly);
  const schema::CatalogTables& t = catalog.tables();
  add_table(base + t.root_offset(), sizeof(CatalogRoot));
  add_table(base + t.sessions_offset(), t.sessions_limit() * sizeof(SessionRecord));
  add_table(base + t.pins_offset(), kPins * sizeof(PinRecord));
  add_table(base + t.extents_offset(), kExtents * sizeof(ExtentRecord));
  add_table(base + t.entries_offset(), kEntries * sizeof(Entry));
  for (const std::uint64_t offset : *t.index_offset()) add_table(base + offset, t.index_limit() * sizeof(Word));
  for (const std::uint64_t offset : *t.beginnings_offset()) add_table(base + offset, t.index_limit() * sizeof(Word));
  add_table(base + t.heap_offset(), kHeapBytes);
}

void KilledInstance::map_session(std::uint64_t session) {
  const SessionSegment segment = SessionSegment::open(name_, session);
  std::byte* const base = map(segment.segment().name());
  const schema::SessionTables& t = *segment.segment().header().tables_as_SessionTables();
  add_table(base + t.control_offset(), sizeof(SessionControl));
  add_table(base + t.leases_offset(), kPageSize, kSessionWords);
  add_table(base + t.extent_states_offset(), kPageSize, kSessionWords);
  add_table(base + t.returns_offset(), kPageSize, kSessionWords);
  lease_lengths_.push_back(
      reinterpret_cast<const std::uint64_t*>(base + t.control_offset() + offsetof(SessionControl, leases_committed)));
}

void KilledInstance::add_table(std::byte* begin, std::size_t bytes, std::size_t most_words) {
  kept_.push_back({begin, {begin, begin + bytes}});
  const std::size_t words = std::min(bytes / sizeof(std::uint64_t), most_words);
  tables_.push_back({reinterpret_cast<std::uint64_t*>(begin), words});
}

void KilledInstance::restore() {
  for (const std::string& segment : segments_)
    kernel_.link(segment + kKept, segment);  // where it is not there any more
  for (const Kept& kept : kept_) std::memcpy(kept.at, kept.bytes.data(), kept.bytes.size());
}

bool KilledInstance::is_length_of_leases(const std::uint64_t* word) const {
  return std::find(lease_lengths_.begin(), lease_lengths_.end(), word) != lease_lengths_.end();
}

}  // namespace tensorbroker::fuzz
