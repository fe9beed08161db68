// CLOCK_BOOTTIME in nanoseconds: the clock of pins' deadlines, which goes on while the machine sleeps.

#ifndef TENSORBROKER_BROKER_BOOTTIME_H_
#define TENSORBROKER_BROKER_BOOTTIME_H_

#include <cstdint>
#include <ctime>

namespace tensorbroker::broker {

inline std::uint64_t boottime_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

inline std::uint64_t boottime_in_seconds(int seconds) {
  return boottime_ns() + static_cast<std::uint64_t>(seconds) * 1'000'000'000;
}

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_BOOTTIME_H_
