#include "proto/name_prefix.h"

#include <algorithm>
#include <cstring>

#include "proto/catalog_layout.h"
#include "proto/heap_record.h"

namespace tensorbroker {
namespace {

constexpr std::size_t kNameWord = kHeapRecordNameOffset / sizeof(Word);  // the word before it holds the lengths

}  // namespace

NamePrefix::NamePrefix(std::string_view prefix) noexcept : bytes_(prefix.size()) {
  if (bytes_ > kMaxNameBytes) return;  // no name is as long
  words_ = round_up(bytes_, sizeof(Word)) / sizeof(Word);
  if (!prefix.empty()) std::memcpy(wanted_.data(), prefix.data(), bytes_);
  std::memset(mask_.data(), 0xff, bytes_);
}

// The broker writes records with plain stores, in another process. Whole words are loaded, each once, so that what is
// compared is what was read, however it changes; who asks finds out that it changed, and forgets the answer.
bool NamePrefix::differs(std::span<const std::byte> record) const noexcept {
  if (record.size() < kHeapRecordNameOffset) return false;
  const auto* const words = reinterpret_cast<const Word*>(record.data());
  const std::uint64_t lengths = words[kNameWord - 1].load(std::memory_order_relaxed);
  std::uint32_t name_bytes = 0;
  std::memcpy(&name_bytes, &lengths, sizeof name_bytes);
  if (name_bytes < bytes_) return true;
  if (record.size() < kHeapRecordNameOffset + words_ * sizeof(Word)) return false;
  for (std::size_t i = 0; i < words_; ++i) {
    if ((words[kNameWord + i].load(std::memory_order_relaxed) & mask_[i]) != wanted_[i]) return true;
  }
  return false;
}

}  // namespace tensorbroker
