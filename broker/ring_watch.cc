#include "broker/ring_watch.h"

#include <utility>

#include "proto/pause.h"

namespace tensorbroker::broker {
namespace {

// How long descriptors go unlooked at while rings are looked at: a look at them costs as much as a request does.
constexpr std::chrono::microseconds kLook{2};
// No turn and no look at the descriptors takes as long: this process was put aside.
constexpr std::chrono::microseconds kPutAside{500};

}  // namespace

void RingWatch::heard(RequestRing& ring, unsigned in_a_row) {
  if (ring.is_watched()) {
    paid_ = true;
    spinning_.paid();
    if (has_left_) leaving_.paid();
    return;
  }
  const auto now = Clock::now();
  if (in_a_row < 2 || rings_.size() >= kMostRings) return;
  if (!has_processors_to_spare() || !spinning_.allows(now)) return;
  if (!sits_apart(ring, in_a_row, now)) return;
  ring.begin_watch();
  rings_.push_back(ring.shared_from_this());
  if (looking_) return;
  last_look_ = Clock::now();  // to leave may have been to wait for another processor: that is not being put aside
  paid_ = false;
  look_soon();
}

// Who looks on its client's processor keeps it from writing. A client that says so wherever this process is makes it
// leave once in a while.
bool RingWatch::sits_apart(const RequestRing& ring, unsigned in_a_row, Clock::time_point now) {
  const unsigned own = own_processor();
  if (!ring.shares(own)) return true;
  if (in_a_row < kWorthLeaving || !leaving_.allows(now)) return false;
  leaving_.in_vain(now);
  if (!leave_(own)) return false;
  has_left_ = true;
  return true;
}

void RingWatch::make_way(Clock::duration how_long, std::function<void()> task) {
  if (!looking_) return task();
  waiting_ = std::move(task);
  waits_until_ = Clock::now() + how_long;
}

void RingWatch::run_waiting(Clock::time_point now) {
  if (waiting_ && now >= waits_until_) std::exchange(waiting_, nullptr)();
}

void RingWatch::look_soon() {
  looking_ = true;
  loop_.post([this] { look(); });
}

void RingWatch::look() {
  const auto now = Clock::now();
  const bool was_put_aside = now - std::exchange(last_look_, now) > kPutAside;
  look_at_all(now);
  drop_quiet(was_put_aside ? Clock::time_point::max() : now - kBurst);
  looking_ = false;
  run_waiting(rings_.empty() ? Clock::time_point::max() : now);
  if (!rings_.empty()) return look_soon();
  if (was_put_aside) {
    spinning_.put_aside(Clock::now());
    if (has_left_) leaving_.put_aside(Clock::now());
  } else if (!paid_) {
    spinning_.in_vain(Clock::now());
  }
  has_left_ = false;
  turns_.catch_up();
}

// Until the descriptors are due, or somebody waits for a turn. Where none had anything to say there is time for what
// was put off.
void RingWatch::look_at_all(Clock::time_point now) {
  const auto until = now + kLook;
  bool any_at_all = false;
  do {
    bool any = false;
    for (const auto& ring : rings_) any |= ring->look_now();
    if (turns_.somebody_waits()) return;
    if (!any) pause_core();
    any_at_all |= any;
  } while (Clock::now() < until);
  if (!any_at_all) turns_.catch_up();
}

// Those from which nothing came since then.
void RingWatch::drop_quiet(Clock::time_point since) {
  std::erase_if(rings_, [&](const auto& ring) {
    return ring->is_closed() || (ring->last_heard() <= since && ring->end_watch());
  });
}

}  // namespace tensorbroker::broker
