#include "proto/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <climits>
#include <ctime>

namespace tensorbroker {
namespace {

static_assert(std::endian::native == std::endian::little, "the low half of a word is its first four bytes");

const std::uint32_t* low_half(const Word& word) noexcept { return reinterpret_cast<const std::uint32_t*>(&word); }

}  // namespace

void futex_wait(const Word& word, std::uint32_t expected, std::chrono::nanoseconds limit) noexcept {
  if (limit.count() <= 0) return;
  const timespec timeout{.tv_sec = limit.count() / 1'000'000'000, .tv_nsec = limit.count() % 1'000'000'000};
  syscall(SYS_futex, low_half(word), FUTEX_WAIT, expected, &timeout, nullptr, 0);
}

void futex_wake_all(const Word& word) noexcept {
  syscall(SYS_futex, low_half(word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace tensorbroker
