// Frames of the control connection: a 32-bit little-endian length and that many bytes of one FlatBuffers message.

#ifndef TENSORBROKER_PROTO_FRAME_H_
#define TENSORBROKER_PROTO_FRAME_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "proto/limits.h"

namespace tensorbroker {

inline constexpr std::size_t kFrameLengthBytes = 4;
static_assert(std::endian::native == std::endian::little);

inline std::uint32_t frame_length(const std::byte* prefix) noexcept {
  std::uint32_t length;
  std::memcpy(&length, prefix, sizeof length);
  return length;
}

// A message with its length before it.
inline std::vector<std::byte> framed(std::span<const std::byte> message) {
  const auto length = static_cast<std::uint32_t>(message.size());
  std::vector<std::byte> frame(kFrameLengthBytes + message.size());
  std::memcpy(frame.data(), &length, kFrameLengthBytes);
  std::copy(message.begin(), message.end(), frame.begin() + kFrameLengthBytes);
  return frame;
}

// Limits for FlatBuffers' verifier, on messages and headers alike: our tables nest four deep.
inline constexpr std::size_t kVerifierDepth = 16;
inline constexpr std::size_t kVerifierTables = 200'000;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_FRAME_H_
