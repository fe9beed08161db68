// The last publications and deletions, in order: a bounded ring in the catalog that the broker fills and any number of
// readers follow without a lock or a message, each at its own pace.
//
// Events are numbered from 1. A record's number is 0 while it is overwritten, and stored last: a reader that finds
// another number, before or after it has read the rest, was overtaken. A successor cannot know whether the last event
// before its predecessor's end was written, so it leaves a gap that is as wide as the ring. Templates over the word,
// like the records. One writer; any number of readers.

#ifndef TENSORBROKER_PROTO_EVENT_RING_H_
#define TENSORBROKER_PROTO_EVENT_RING_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "proto/catalog_layout.h"
#include "proto/limits.h"

namespace tensorbroker {

enum class EventType : std::uint8_t { kPublish = 1, kDelete = 2 };

struct EventFields {
  EventType type = EventType::kPublish;
  std::uint64_t version = 0;
  std::string name;
};

template <class W>
struct alignas(64) BasicEventRecord {
  static constexpr std::size_t kNameWords = (kMaxNameBytes + 1) / sizeof(std::uint64_t);
  W number;
  W type_and_size;  // EventType << 32 | bytes of the name
  W version;
  W name[kNameWords];
};
using EventRecord = BasicEventRecord<Word>;

template <class W>
struct BasicEventRing {
  BasicEventRecord<W>* records = nullptr;
  std::uint64_t limit = 0;  // a power of two
  W* count = nullptr;       // events so far

  BasicEventRecord<W>& record(std::uint64_t number) const noexcept { return records[number & (limit - 1)]; }
};
using EventRing = BasicEventRing<Word>;

// The writer's. REQUIRES: a name of at most kMaxNameBytes.
template <class W>
void append_event(const BasicEventRing<W>& ring, EventType type, std::uint64_t version, std::string_view name) {
  const std::uint64_t number = ring.count->load(std::memory_order_relaxed) + 1;
  BasicEventRecord<W>& record = ring.record(number);
  record.number.store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  record.type_and_size.store(static_cast<std::uint64_t>(type) << 32 | name.size(), std::memory_order_relaxed);
  record.version.store(version, std::memory_order_relaxed);
  for (std::size_t i = 0; i * sizeof(std::uint64_t) < name.size(); ++i) {
    std::uint64_t word = 0;
    const std::string_view part = name.substr(i * sizeof word, sizeof word);
    std::memcpy(&word, part.data(), part.size());
    record.name[i].store(word, std::memory_order_relaxed);
  }
  record.number.store(number, std::memory_order_release);
  ring.count->store(number, std::memory_order_release);
}

// The successor's: who follows finds what its predecessor wrote, and then that there is a gap.
template <class W>
void skip_events(const BasicEventRing<W>& ring) {
  ring.count->store(ring.count->load(std::memory_order_relaxed) + ring.limit + 1, std::memory_order_release);
}

// The event with this number; nullopt where the ring has gone on beyond it. REQUIRES: it is not above the count.
template <class W>
std::optional<EventFields> read_event(const BasicEventRing<W>& ring, std::uint64_t number) {
  const BasicEventRecord<W>& record = ring.record(number);
  if (record.number.load(std::memory_order_acquire) != number) return std::nullopt;
  const std::uint64_t type_and_size = record.type_and_size.load(std::memory_order_relaxed);
  const std::uint64_t version = record.version.load(std::memory_order_relaxed);
  std::array<std::uint64_t, BasicEventRecord<W>::kNameWords> name;
  for (std::size_t i = 0; i < name.size(); ++i) name[i] = record.name[i].load(std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_acquire);
  if (record.number.load(std::memory_order_relaxed) != number) return std::nullopt;
  const std::size_t size = std::min<std::size_t>(type_and_size & 0xffffffff, kMaxNameBytes);
  return EventFields{static_cast<EventType>(type_and_size >> 32), version,
                     std::string(reinterpret_cast<const char*>(name.data()), size)};
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_EVENT_RING_H_
