#include "broker/preparation.h"

#include <algorithm>

namespace tensorbroker::broker {

// The machine is low when it could not spare as much again as is to be prepared; it must have twice that to begin with,
// or preparing and giving back would take turns.
Preparation::Decision Preparation::decide(Time now, const Pages& pages) const {
  const auto up_to_a_millisecond = [](Time::duration d) { return std::chrono::ceil<Delay>(d); };
  if (!is_recent(used_, now) || pages.room < pages.wanted) {
    return {.what = pages.warm > 0 ? What::kRelease : What::kNothing, .look_again = {}};
  }
  const Delay look = std::min(kLook, up_to_a_millisecond(*used_ + kKept - now));
  if (pages.wanted == 0 && pages.warm == 0) return {};
  if (pages.wanted == 0 || !is_recent(demanded_, now) || pages.room / 2 < pages.wanted) {
    return {.what = What::kNothing, .look_again = look};
  }
  if (now - *demanded_ < kQuiet) {
    return {.what = What::kNothing, .look_again = up_to_a_millisecond(*demanded_ + kQuiet - now)};
  }
  return {.what = What::kPrepare, .look_again = look};
}

}  // namespace tensorbroker::broker
