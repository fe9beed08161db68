#include "proto/heap_record.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>

#include "proto/limits.h"

namespace tensorbroker {
namespace {

struct Prefix {
  std::uint64_t generation;
  std::uint64_t checksum;
  std::uint32_t name_bytes;
  std::uint32_t header_bytes;
};
static_assert(sizeof(Prefix) == kHeapRecordNameOffset);
constexpr std::size_t kChecked = offsetof(Prefix, name_bytes);  // the checksum covers everything from here

std::size_t header_offset(std::size_t name_bytes) { return sizeof(Prefix) + round_up(name_bytes, 8); }

}  // namespace

std::size_t heap_record_bytes(std::size_t name_bytes, std::size_t header_bytes) {
  return header_offset(name_bytes) + header_bytes;
}

void write_heap_record(const HeapRecord& record, std::byte* out) {
  Prefix prefix{record.generation, 0, static_cast<std::uint32_t>(record.name.size()),
                static_cast<std::uint32_t>(record.header.size())};
  const std::size_t begin = header_offset(record.name.size());
  std::memset(out, 0, begin);
  std::memcpy(out + kChecked, &prefix.name_bytes, sizeof(Prefix) - kChecked);
  if (!record.name.empty()) std::memcpy(out + sizeof(Prefix), record.name.data(), record.name.size());
  std::memcpy(out + begin, record.header.data(), record.header.size());
  prefix.checksum = XXH3_64bits(out + kChecked, begin + record.header.size() - kChecked);
  std::memcpy(out, &prefix, kChecked);
}

bool read_heap_record(std::span<const std::byte> bytes, HeapRecord* record) noexcept {
  if (bytes.size() < sizeof(Prefix)) return false;
  Prefix prefix;
  std::memcpy(&prefix, bytes.data(), sizeof prefix);
  if (prefix.name_bytes > kMaxNameBytes || prefix.header_bytes > kMaxHeaderBytes) return false;
  const std::size_t begin = header_offset(prefix.name_bytes);
  if (bytes.size() < begin + prefix.header_bytes) return false;
  record->generation = prefix.generation;
  record->name = {reinterpret_cast<const char*>(bytes.data()) + sizeof(Prefix), prefix.name_bytes};
  record->header = bytes.subspan(begin, prefix.header_bytes);
  return true;
}

bool heap_record_intact(std::span<const std::byte> bytes) noexcept {
  HeapRecord record;
  if (!read_heap_record(bytes, &record)) return false;
  Prefix prefix;
  std::memcpy(&prefix, bytes.data(), sizeof prefix);
  const std::size_t end = heap_record_bytes(prefix.name_bytes, prefix.header_bytes);
  return XXH3_64bits(bytes.data() + kChecked, end - kChecked) == prefix.checksum;
}

}  // namespace tensorbroker
