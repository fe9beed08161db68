// The catalog's records as they lie in shared memory. Only the broker writes them; everybody else maps them read-only.
//
// Every field is one lock-free 8-byte word, so that a reader sees each one whole, and a broker killed between any two
// stores leaves a state that its successor repairs (see intent below). No pointers: entry ids and offsets only, each
// checked against the committed length after it is read. The records are templates over their word, so that the
// protocols run unchanged on std::atomic in the product and on an instrumented word in the model tests.

#ifndef TENSORBROKER_PROTO_CATALOG_LAYOUT_H_
#define TENSORBROKER_PROTO_CATALOG_LAYOUT_H_

#include <atomic>
#include <cstdint>

#include "proto/limits.h"

namespace tensorbroker {

using Word = std::atomic<std::uint64_t>;
static_assert(Word::is_always_lock_free && sizeof(Word) == 8);

using EntryId = std::uint32_t;
inline constexpr EntryId kNoEntry = 0xffffffff;

// ---- generations: (counter << 1 | live). The counter is never reused; it begins at the instance's creation time in
// microseconds, so that a later instance's are higher. An entry keeps its counter, with the live bit clear, while it is
// retired, until it is freed.
constexpr bool is_live(std::uint64_t generation) { return (generation & 1) != 0; }
constexpr std::uint64_t retired(std::uint64_t generation) { return generation & ~std::uint64_t{1}; }
constexpr std::uint64_t live(std::uint64_t generation) { return generation | 1; }
// What users see as `version`.
constexpr std::uint64_t version_of(std::uint64_t generation) { return generation >> 1; }

// ---- one tensor or bundle
enum class EntryPhase : std::uint8_t { kFree = 0, kSpare = 1, kUsed = 2 };

// The word `state` of an entry, unpacked.
struct EntryState {
  EntryPhase phase = EntryPhase::kFree;
  bool is_bundle = false;
  bool is_mutable = false;
  bool is_named = false;  // an anonymous entry is never live: it is born retired, and lives by its leases and pins

  constexpr std::uint64_t pack() const {
    return static_cast<std::uint64_t>(phase) | std::uint64_t{is_bundle} << 8 | std::uint64_t{is_mutable} << 9 |
           std::uint64_t{is_named} << 10;
  }
  static constexpr EntryState unpack(std::uint64_t word) {
    return {static_cast<EntryPhase>(word & 0xff), (word >> 8 & 1) != 0, (word >> 9 & 1) != 0, (word >> 10 & 1) != 0};
  }
};

template <class W>
struct alignas(64) BasicEntry {
  W generation;
  W name_hash;
  W header;        // HeapRef of its heap record
  W block_offset;  // in the arena
  W block_bytes;   // padded; 0: no elements
  W owner;         // session id of the publisher, or of the holder of a spare
  W created_us;    // since the epoch
  W state;         // EntryState
};
using Entry = BasicEntry<Word>;

// Where a heap record lies: offset from the heap's start in units of 64 bytes, and its length in bytes.
struct HeapRef {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;

  constexpr std::uint64_t pack() const { return offset / 64 << 24 | bytes; }
  static constexpr HeapRef unpack(std::uint64_t word) {
    return {(word >> 24) * 64, static_cast<std::uint32_t>(word & 0xffffff)};
  }
};

// ---- the futex word of all names with the same low bits of their hash
template <class W>
struct BasicWaitWord {
  W changes;  // publications and deletions so far, and successors of the broker; its low half is what futex(2) looks at
  W hint;     // PublishedHint of the last publication
};
using WaitWord = BasicWaitWord<Word>;

// Where a waiter will read next, so that it can fetch all of it at once. Nothing depends on its being right.
struct PublishedHint {
  EntryId entry = 0;
  std::uint64_t heap_offset = 0;

  constexpr std::uint64_t pack() const { return heap_offset / 64 << 32 | entry; }
  static constexpr PublishedHint unpack(std::uint64_t word) {
    return {static_cast<EntryId>(word & 0xffffffff), (word >> 32) * 64};
  }
};

// ---- the name index: open addressing over cells of (hash tag << 32 | entry id + 1); 0 is empty.
inline constexpr std::uint64_t kEmptyCell = 0;
inline constexpr std::uint64_t kTombstone = 0xffffffff;  // no entry has this id
constexpr std::uint64_t cell_tag(std::uint64_t name_hash) { return name_hash & 0xffffffff00000000ULL; }
constexpr std::uint64_t make_cell(std::uint64_t name_hash, EntryId entry) {
  return cell_tag(name_hash) | (std::uint64_t{entry} + 1);
}
constexpr EntryId cell_entry(std::uint64_t cell) { return static_cast<EntryId>((cell & 0xffffffff) - 1); }
constexpr bool cell_is_entry(std::uint64_t cell) { return cell != kEmptyCell && cell != kTombstone; }

// Which index is in force: its epoch (each rebuild has a new one), which of the two regions, and log2 of its cells.
struct IndexRoot {
  std::uint32_t epoch = 0;
  std::uint8_t region = 0;
  std::uint8_t log2_cells = 0;

  constexpr std::uint64_t pack() const {
    return std::uint64_t{epoch} << 32 | std::uint64_t{region} << 8 | std::uint64_t{log2_cells};
  }
  static constexpr IndexRoot unpack(std::uint64_t word) {
    return {static_cast<std::uint32_t>(word >> 32), static_cast<std::uint8_t>(word >> 8 & 0xff),
            static_cast<std::uint8_t>(word & 0xff)};
  }
};
// The root of an instance that ended in good order: readers reconnect to whoever is there next.
inline constexpr std::uint64_t kClosedRoot = ~std::uint64_t{0};

// ---- the mutation in progress, written before its first visible store and cleared after its last: a successor does
// what is left of it. All of its stores may be done twice.
enum class IntentKind : std::uint64_t { kNone = 0, kPublish = 1, kDelete = 2 };

template <class W>
struct BasicIntent {
  W kind;        // IntentKind; stored last
  W cell;        // index of the cell, within the index in force
  W cell_value;  // what it becomes
  W entry;       // published entry, or kNoEntry
  W generation;  // of the published entry
  W replaced;    // entry to retire, or kNoEntry
  W replaced_generation;
  W session;  // slot of the session record
  W session_id;
  W sequence;
  W result;  // what the session's window keeps
};

template <class W>
struct BasicCatalogRoot {
  // What every look at a name reads. In a cache line of its own: each publication writes what follows it.
  W index;                        // IndexRoot, or kClosedRoot
  W entries_committed;            // entries whose pages are reserved
  W heap_committed;               // bytes of the heap that are reserved
  alignas(64) W next_generation;  // counter
  W next_id;                      // of sessions and segments
  W events;                       // events that the ring had so far
  W changes;  // publications and deletions so far; its low half is the futex word of the whole catalog
  // What a successor keeps unless it is told otherwise.
  W capacity;       // bytes
  W session_limit;  // bytes; 0: none
  W user_limit;     // bytes; 0: none
  W idle_exit_ms;   // 0: never
  W session_tensors;
  W user_tensors;
  W user_sessions;
  W user_connections;
  W process_connections;
  W client_timeout_ms;  // 0: never
  W prepared;           // bytes that are prepared ahead of demand
  BasicIntent<W> intent;
};
using CatalogRoot = BasicCatalogRoot<Word>;

// ---- one attached client process, or the heir that its next forked child will be
template <class W>
struct BasicSessionRecord {
  W id;  // 0: free; stored last
  W pid;
  W uid;
  W parent;   // session id of the parent of an heir that no child has taken over yet; else 0
  W process;  // what tells its process from all others since the boot; 0: unknown, or none has taken it over yet
  W origin;   // session id of the parent that it was made for as an heir; 0: none
  struct Result {
    W sequence;
    W value;  // generation
  } window[kWindow];
};
using SessionRecord = BasicSessionRecord<Word>;

// ---- a run of pages granted to one session, on record before the grant is answered
template <class W>
struct BasicExtentRecord {
  W owner;   // session id; 0: free; stored last
  W offset;  // bytes from the start of the arena
  W bytes;
  W slot;  // of its state word in the owner's segment
};
using ExtentRecord = BasicExtentRecord<Word>;

// ---- keeps an entry for a session that is about to lease it, or on its way from one process to another
template <class W>
struct BasicPinRecord {
  W generation;  // 0: free; stored last; live bit clear
  W entry;
  W session;      // 0: on its way; nobody's death ends it
  W deadline_ns;  // CLOCK_BOOTTIME
  W token;        // the sender's number for what is on its way; else 0
};
using PinRecord = BasicPinRecord<Word>;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_CATALOG_LAYOUT_H_
