// How a header lies in the catalog's heap: a fixed prefix, the name, and the FlatBuffers Header of tensor.fbs.
//
//   +0   generation, live bit clear      8 bytes
//   +8   XXH3-64 of all that follows     8 bytes
//   +16  bytes of the name               4 bytes
//   +20  bytes of the header             4 bytes
//   +24  name, then zeros up to a multiple of 8
//   ...  header
//
// The prefix lets a lookup compare names without touching FlatBuffers. Immutable while any lease names its entry.

#ifndef TENSORBROKER_PROTO_HEAP_RECORD_H_
#define TENSORBROKER_PROTO_HEAP_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tensorbroker {

inline constexpr std::size_t kHeapRecordNameOffset = 24;

struct HeapRecord {
  std::uint64_t generation = 0;
  std::string_view name;  // empty: anonymous
  std::span<const std::byte> header;
};

std::size_t heap_record_bytes(std::size_t name_bytes, std::size_t header_bytes);

// Writes the record, of heap_record_bytes(...) bytes, to `out`, which is aligned to 8.
void write_heap_record(const HeapRecord& record, std::byte* out);

// The record in `bytes`, as views into it. Checks its lengths, and no more: cheap enough for every lookup.
// Returns false where they do not fit.
bool read_heap_record(std::span<const std::byte> bytes, HeapRecord* record) noexcept;

// Whether the checksum holds. Reads the whole record.
bool heap_record_intact(std::span<const std::byte> bytes) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_HEAP_RECORD_H_
