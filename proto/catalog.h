// The catalog as one process has it mapped: its tables at their addresses, checked once when it is opened.
//
// Thread safe, as the words in it are; the broker alone maps it writable. See catalog_layout.h for the records.

#ifndef TENSORBROKER_PROTO_CATALOG_H_
#define TENSORBROKER_PROTO_CATALOG_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "proto/catalog_layout.h"
#include "proto/event_ring.h"
#include "proto/heap_record.h"
#include "proto/lookup.h"
#include "proto/quotas.h"
#include "proto/segment.h"

namespace tensorbroker {

using CatalogView = BasicCatalogView<Word>;

// What a new catalog is made for; a successor reads the same from the segment.
struct CatalogOptions {
  std::uint64_t arena_id = 0;
  std::uint64_t arena_bytes = 0;
  std::uint64_t capacity = 0;
  std::uint32_t max_tensors = 1u << 20;
  std::uint32_t max_sessions = 1024;
  std::uint64_t session_limit = 0;
  std::uint64_t user_limit = 0;
  double idle_exit_seconds = 0;
  std::uint64_t prepared = 0;  // bytes that are prepared ahead of demand
  std::uint64_t created_us = 0;
  std::string runtime_dir{};
  Quotas quotas{};
};

class Catalog {
 public:
  Catalog() = default;

  // Makes the segment with sparse tables sized for `options`. Nothing beyond the first page and the root's page is
  // reserved, and the magic is not stored: the broker does both.
  static Catalog create(const InstanceName& name, std::uint64_t id, const InstanceId& instance,
                        const CatalogOptions& options);
  void finish() { segment_.finish(); }

  // Throws as Segment::open does, and CorruptSegmentError where a table lies outside the segment.
  static Catalog open(const InstanceName& name, std::uint64_t id, Access access);

  const Segment& segment() const noexcept { return segment_; }
  const schema::CatalogTables& tables() const noexcept { return *tables_; }
  CatalogOptions options() const;
  // Capacity, limits and idle exit, for successors to keep. The broker only, once the root's page is reserved.
  void record_limits(const CatalogOptions& options) const;

  CatalogRoot& root() const noexcept { return *view_.root; }
  const CatalogView& view() const noexcept { return view_; }
  Entry& entry(EntryId id) const noexcept { return view_.entries[id]; }
  SessionRecord& session(std::uint32_t slot) const noexcept { return sessions_[slot]; }
  PinRecord& pin(std::uint32_t slot) const noexcept { return pins_[slot]; }
  ExtentRecord& extent(std::uint32_t id) const noexcept { return extents_[id]; }
  std::byte* heap() const noexcept { return heap_; }

  // The futex word of a name (by its hash).
  Word& wait_word(std::uint64_t name_hash) const noexcept { return waits_[name_hash & wait_mask_].changes; }
  Word& wait_hint(std::uint64_t name_hash) const noexcept { return waits_[name_hash & wait_mask_].hint; }
  // Has the processor fetch what the hint says, all at once and without waiting for it.
  void fetch_published(std::uint64_t name_hash) const noexcept;
  std::uint32_t wait_words() const noexcept { return static_cast<std::uint32_t>(wait_mask_ + 1); }

  // The last publications and deletions.
  const EventRing& events() const noexcept { return events_; }

  // The bytes of a heap record, or nothing where `ref` lies beyond what is committed.
  std::span<const std::byte> heap_bytes(HeapRef ref) const noexcept;

  // Whether a leased entry bears `name`.
  bool entry_has_name(EntryId id, std::uint64_t hash, std::string_view name) const noexcept;

  // The record of an entry that the caller has leased, its lengths checked. Throws CorruptSegmentError.
  HeapRecord record(EntryId id) const;

 private:
  void bind();

  Segment segment_;
  const schema::CatalogTables* tables_ = nullptr;
  CatalogView view_;
  SessionRecord* sessions_ = nullptr;
  PinRecord* pins_ = nullptr;
  ExtentRecord* extents_ = nullptr;
  WaitWord* waits_ = nullptr;
  std::uint64_t wait_mask_ = 0;
  EventRing events_;
  std::byte* heap_ = nullptr;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_CATALOG_H_
