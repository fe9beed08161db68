// Which beginnings a name has, in one word: what a listing looks at before anything else of a name.
//
// Each beginning sets one bit, chosen by a hash of its bytes. So a word without one of the bits of a prefix is of no
// name that begins with that prefix; a word that has them all may be, and the name itself is looked at. (A Bloom
// filter, its eight bytes taking turns, so that of eight beginnings in a row no two set the same bit.) Beyond 64 bytes
// every eighth beginning does, or every bit of a long name would be set. Part of the layout: broker and clients compute
// the same.
//
// Pure and thread safe.

#ifndef TENSORBROKER_PROTO_NAME_BEGINNINGS_H_
#define TENSORBROKER_PROTO_NAME_BEGINNINGS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proto/limits.h"

namespace tensorbroker {

// Of a name, or of a prefix: those of a prefix are among those of each name that begins with it.
constexpr std::uint64_t beginnings_of(std::string_view text) noexcept {
  constexpr std::uint64_t kGoldenRatio = 0x9e3779b97f4a7c15;
  constexpr std::size_t kAllUpTo = 64;
  std::uint64_t word = 0;
  std::uint64_t hash = 0;
  std::size_t bytes = 0;
  const auto hash_one_more = [&] { hash = (hash + static_cast<unsigned char>(text[bytes++])) * kGoldenRatio; };
  const auto set_bit_in = [&](std::size_t turn) { word |= std::uint64_t{1} << (turn % 8 * 8 + (hash >> 61)); };
  const std::size_t longest = std::min(text.size(), kMaxNameBytes);
  while (bytes < std::min(longest, kAllUpTo)) {
    hash_one_more();
    set_bit_in(bytes);
  }
  while (bytes < longest) {
    hash_one_more();
    if (bytes % 8 == 0) set_bit_in(bytes / 8);
  }
  return word;
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_NAME_BEGINNINGS_H_
