#include "proto/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <climits>
#include <ctime>

namespace tensorbroker {
namespace {

static_assert(std::endian::native == std::endian::little, "the low half of a word is its first four bytes");

const std::uint32_t* low_half(const Word& word) noexcept { return reinterpret_cast<const std::uint32_t*>(&word); }

constexpr std::int64_t kSecond = 1'000'000'000;

timespec monotonic_after(std::chrono::nanoseconds time) noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t nanoseconds = now.tv_nsec + time.count() % kSecond;
  return {.tv_sec = now.tv_sec + time.count() / kSecond + nanoseconds / kSecond, .tv_nsec = nanoseconds % kSecond};
}

}  // namespace

void futex_wait(const Word& word, std::uint32_t expected, std::chrono::nanoseconds limit) noexcept {
  if (limit.count() <= 0) return;
  const timespec timeout{.tv_sec = limit.count() / kSecond, .tv_nsec = limit.count() % kSecond};
  syscall(SYS_futex, low_half(word), FUTEX_WAIT, expected, &timeout, nullptr, 0);
}

bool futex_wait_any(std::span<const FutexCondition> conditions, std::chrono::nanoseconds limit) noexcept {
#if defined(FUTEX_WAITV_MAX) && defined(__NR_futex_waitv)
  if (limit.count() <= 0) return true;
  std::array<futex_waitv, kFutexConditionsLimit> words{};
  for (std::size_t i = 0; i < conditions.size(); ++i) {
    words[i].val = conditions[i].seen;
    words[i].uaddr = reinterpret_cast<std::uintptr_t>(low_half(*conditions[i].word));
    words[i].flags = FUTEX_32;
  }
  const timespec until = monotonic_after(limit);
  const auto result = syscall(__NR_futex_waitv, words.data(), conditions.size(), 0, &until, CLOCK_MONOTONIC);
  return result >= 0 || (errno != ENOSYS && errno != EPERM);
#else
  static_cast<void>(conditions);
  static_cast<void>(limit);
  return false;
#endif
}

void futex_wake_all(const Word& word) noexcept {
  syscall(SYS_futex, low_half(word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace tensorbroker
