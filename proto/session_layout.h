// The records of a session's segment, which only that client and the broker map, both writable.
//
// The broker trusts nothing it reads here: ids and counts are checked against what it has committed, and a segment
// that its client truncated reads as zeros (tensorbroker/sigbus.h). Templates over the word, as in catalog_layout.h.

#ifndef TENSORBROKER_PROTO_SESSION_LAYOUT_H_
#define TENSORBROKER_PROTO_SESSION_LAYOUT_H_

#include <cstdint>

#include "proto/catalog_layout.h"

namespace tensorbroker {

template <class W>
struct BasicSessionControl {
  // Written by the client.
  alignas(64) W lease_high_water;  // cells below it may hold leases; raised before the first lease beyond it
  W ring;                          // 1: something that this session let go of may be free now
  W waiters;                       // threads in wait or watch
  W returns_tail;                  // returns taken so far
  alignas(64) W requests_tail;     // of the command rings (command_ring.h)
  W replies_head;
  W replies_asleep;
  W requests_processor;
  // Written by the broker.
  alignas(64) W leases_committed;  // cells whose pages are reserved
  W returns_head;                  // returns given so far
  alignas(64) W requests_head;     // of the command rings
  W requests_asleep;
  W replies_tail;
};
using SessionControl = BasicSessionControl<Word>;

// A lease cell holds entry id + 1; 0 is free.
constexpr std::uint64_t lease_of(EntryId entry) { return std::uint64_t{entry} + 1; }

// A block that was reclaimed, going back to its extent's owner. It is accepted once: by block and generation.
template <class W>
struct BasicBlockReturn {
  W block_offset;
  W generation;  // live bit clear
};
using BlockReturn = BasicBlockReturn<Word>;

// The state of an extent, in its owner's segment. Used: drafts lie in it; what is published the broker knows itself.
// The owner changes free to used and back, the broker free to taken where nothing published lies there, by
// compare-and-swap.
enum class ExtentState : std::uint64_t { kNone = 0, kFree = 1, kUsed = 2, kTaken = 3 };

inline constexpr std::uint32_t kReturnsLimit = 4096;
inline constexpr std::uint32_t kExtentStatesLimit = 65536;
inline constexpr std::uint32_t kLeasesLimit = 1u << 20;
inline constexpr std::uint32_t kInitialLeases = 4096;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_SESSION_LAYOUT_H_
