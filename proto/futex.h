// Waiting for a word in shared memory to change, across processes: FUTEX_WAIT and FUTEX_WAKE without the private flag
// (std::atomic::wait never wakes another process). Waiting works on a read-only mapping. Linux futex(2),
// futex_waitv(2).

#ifndef TENSORBROKER_PROTO_FUTEX_H_
#define TENSORBROKER_PROTO_FUTEX_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "proto/catalog_layout.h"

namespace tensorbroker {

// The 32 bits of a word that a futex call looks at: its low half.
inline std::uint32_t futex_value(const Word& word) noexcept {
  return static_cast<std::uint32_t>(word.load(std::memory_order_seq_cst));
}

// Sleeps until woken, `limit` passed, a signal came, or at once where the word's value is not `expected`.
void futex_wait(const Word& word, std::uint32_t expected, std::chrono::nanoseconds limit) noexcept;

// A word, and the value that its sleeper has seen.
struct FutexCondition {
  const Word* word = nullptr;
  std::uint32_t seen = 0;
};
inline constexpr std::size_t kFutexConditionsLimit = 128;  // the kernel's

// The same for several words at once. False, without sleep, where the kernel has no such call (before Linux 5.16) or a
// sandbox refuses it. REQUIRES: 1 to kFutexConditionsLimit of them.
bool futex_wait_any(std::span<const FutexCondition> conditions, std::chrono::nanoseconds limit) noexcept;

// Wakes everybody who waits for the word, in all processes.
void futex_wake_all(const Word& word) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_FUTEX_H_
