#include "broker/pages_ahead.h"

#include <utility>

namespace tensorbroker::broker {

void PagesAhead::update() {
  const bool is_first = !had_client_ && store_.has_sessions();
  if (is_first || store_.grants() != grants_) {
    had_client_ = had_client_ || is_first;
    grants_ = store_.grants();
    preparation_.demanded(std::chrono::steady_clock::now());
    if (!preparing_) timer_.start(Preparation::kQuiet, [this] { act(); });
  } else if (store_.warm_bytes() > 0 && !timer_.running() && !preparing_) {
    preparation_.given_back(std::chrono::steady_clock::now());
    timer_.start(Preparation::kLook, [this] { act(); });
  }
}

void PagesAhead::act() {
  if (preparing_) return;
  const auto decision =
      preparation_.decide(std::chrono::steady_clock::now(),
                          {.warm = store_.warm_bytes(), .wanted = store_.options().prepared, .room = room_()});
  if (decision.what == Preparation::What::kPrepare && prepare()) return;
  if (decision.what == Preparation::What::kRelease) {
    store_.cool();
    punch_();
  }
  if (decision.look_again) timer_.start(*decision.look_again, [this] { act(); });
}

// False where there is nothing to prepare now.
bool PagesAhead::prepare() {
  const Range range = store_.take_prepare_work(kPieceBytes);
  if (range.empty()) return false;
  preparing_ = true;
  timer_.stop();
  worker_.prepare(range, [this, range](int error) {
    preparing_ = false;
    store_.prepared(range, error);
    if (error == 0) return act();
    timer_.start(Preparation::kLook, [this] { act(); });
  });
  return true;
}

}  // namespace tensorbroker::broker
