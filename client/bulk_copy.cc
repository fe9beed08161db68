#include "client/bulk_copy.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "client/in_pieces.h"

namespace tensorbroker {
namespace {

// Of a copy that several threads share: short beside the whole, long beside the taking of one.
constexpr std::size_t kPiece = 1 << 20;

#if defined(__x86_64__)
constexpr std::size_t kVector = 32;
constexpr std::size_t kStep = 4 * kVector;
constexpr std::size_t kAhead = 1024;  // bytes that the prefetch runs ahead

// REQUIRES: `to` at a multiple of kVector, `bytes` one of kStep.
__attribute__((target("avx2"))) void stream(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < bytes; i += kStep) {
    // Beyond the end a prefetch does nothing; it never faults.
    _mm_prefetch(reinterpret_cast<const char*>(from + i + kAhead), _MM_HINT_NTA);
    _mm_prefetch(reinterpret_cast<const char*>(from + i + kAhead + kStep / 2), _MM_HINT_NTA);
    for (std::size_t v = i; v < i + kStep; v += kVector) {
      const __m256i data = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + v));
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + v), data);
    }
  }
  _mm_sfence();
}

void copy_past_caches(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  static const bool can_stream = __builtin_cpu_supports("avx2") != 0;
  if (!can_stream || bytes < kStep) {
    std::memcpy(to, from, bytes);
    return;
  }
  const std::size_t head = -reinterpret_cast<std::uintptr_t>(to) % kVector;
  const std::size_t body = (bytes - head) / kStep * kStep;
  std::memcpy(to, from, head);
  stream(to + head, from + head, body);
  std::memcpy(to + head + body, from + head + body, bytes - head - body);
}
#else
void copy_past_caches(std::byte* to, const std::byte* from, std::size_t bytes) noexcept {
  std::memcpy(to, from, bytes);
}
#endif

}  // namespace

void bulk_copy(std::byte* to, const std::byte* from, std::size_t bytes, std::size_t together) noexcept {
  if (bytes < kLeastStreamedRun || std::max(bytes, together) < kStreamedCopyBytes) {
    std::memcpy(to, from, bytes);
  } else if (bytes < kParallelCopyBytes) {
    copy_past_caches(to, from, bytes);
  } else {
    const auto copy_piece = [&](std::size_t piece) {
      const std::size_t begin = piece * kPiece;
      copy_past_caches(to + begin, from + begin, std::min(kPiece, bytes - begin));
    };
    in_pieces((bytes + kPiece - 1) / kPiece, std::ref(copy_piece));  // by reference: allocates nothing
  }
}

}  // namespace tensorbroker
