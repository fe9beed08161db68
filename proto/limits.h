// The sizes that both sides agree on. Changing one changes the layout or the protocol: see layout.h.

#ifndef TENSORBROKER_PROTO_LIMITS_H_
#define TENSORBROKER_PROTO_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace tensorbroker {

inline constexpr std::size_t kPageSize = 4096;
inline constexpr std::size_t kMaxNameBytes = 255;
inline constexpr std::size_t kMaxMetadataBytes = 64 * 1024;

inline constexpr std::size_t kTensorAlignment = 64;      // torch, JAX and XLA want 64
inline constexpr std::size_t kMemberAlignment = 256;     // members of a bundle
inline constexpr std::size_t kPageAlignedBlock = 65536;  // blocks from here up are whole pages

// One frame of the control connection. A header, in a Publish, is the largest thing that a frame carries.
inline constexpr std::size_t kMaxFrameBytes = 16 * 1024 * 1024;
inline constexpr std::size_t kMaxHeaderBytes = 8 * 1024 * 1024;
inline constexpr std::size_t kMaxItemsPerRequest = 64;

// Mutations that one session may have unanswered; as many results are kept for it in the catalog.
inline constexpr std::size_t kWindow = 64;

constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
constexpr std::uint64_t round_up_to_page(std::uint64_t n) { return round_up(n, kPageSize); }

// Where a block of `bytes` may begin, and how long it is with its padding: sub-page blocks in units of 64 bytes,
// larger and mutable ones in whole pages.
constexpr bool block_is_paged(std::uint64_t bytes, bool is_mutable) { return is_mutable || bytes >= kPageAlignedBlock; }
constexpr std::uint64_t block_alignment(std::uint64_t bytes, bool is_mutable) {
  return block_is_paged(bytes, is_mutable) ? kPageSize : kTensorAlignment;
}
constexpr std::uint64_t padded_block_bytes(std::uint64_t bytes, bool is_mutable) {
  return round_up(bytes, block_alignment(bytes, is_mutable));
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_LIMITS_H_
