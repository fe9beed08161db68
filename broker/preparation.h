// When pages are prepared ahead of demand, and when what has memory and is nobody's goes back to the machine.
//
// Demand is a grant, or the first client: more is likely to follow. So pages are prepared once no grant came for kQuiet
// (a writer needs the processors and the memory for itself meanwhile), and kept until none came, and nothing was given
// back, for kKept; or until the machine runs low, which is looked at every kLook while there is something to give back.
// Pure: the caller says what time it is, and calls again when told to. Not thread safe.

#ifndef TENSORBROKER_BROKER_PREPARATION_H_
#define TENSORBROKER_BROKER_PREPARATION_H_

#include <chrono>
#include <cstdint>
#include <optional>

namespace tensorbroker::broker {

class Preparation {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Delay = std::chrono::milliseconds;
  static constexpr Delay kQuiet{250};
  static constexpr Delay kLook{5'000};
  static constexpr Delay kKept{30'000};

  void demanded(Time now) { demanded_ = used_ = now; }
  void given_back(Time now) { used_ = now; }

  struct Pages {
    std::uint64_t warm = 0;    // bytes that have memory and are nobody's
    std::uint64_t wanted = 0;  // bytes to prepare
    std::uint64_t room = 0;    // bytes that the machine could spare now
  };
  enum class What { kNothing, kPrepare, kRelease };
  struct Decision {
    What what = What::kNothing;
    std::optional<Delay> look_again;  // where nothing happens before; none: not before the next demand or gift
  };
  Decision decide(Time now, const Pages& pages) const;

 private:
  static bool is_recent(std::optional<Time> time, Time now) { return time && now - *time < kKept; }

  std::optional<Time> demanded_;
  std::optional<Time> used_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PREPARATION_H_
