// Waiting for a word in shared memory to change, across processes: FUTEX_WAIT and FUTEX_WAKE without the private flag
// (std::atomic::wait never wakes another process). Waiting works on a read-only mapping. Linux futex(2).

#ifndef TENSORBROKER_PROTO_FUTEX_H_
#define TENSORBROKER_PROTO_FUTEX_H_

#include <chrono>
#include <cstdint>

#include "proto/catalog_layout.h"

namespace tensorbroker {

// The 32 bits of a word that a futex call looks at: its low half.
inline std::uint32_t futex_value(const Word& word) noexcept {
  return static_cast<std::uint32_t>(word.load(std::memory_order_seq_cst));
}

// Sleeps until woken, `limit` passed, a signal came, or at once where the word's value is not `expected`.
void futex_wait(const Word& word, std::uint32_t expected, std::chrono::nanoseconds limit) noexcept;

// Wakes everybody who waits for the word, in all processes.
void futex_wake_all(const Word& word) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_FUTEX_H_
