#include "broker/memory_work.h"

#include <utility>

namespace tensorbroker::broker {

MemoryWork::MemoryWork(EventLoop& loop, Store& store, std::function<void()> on_change,
                       std::function<std::uint64_t()> room)
    : store_(store),
      on_change_(std::move(on_change)),
      ahead_(loop, store, worker_, std::move(room), [this] { punch(); }),
      worker_(loop, store.arena()) {}

void MemoryWork::grant(std::uint64_t session, std::uint64_t bytes, GrantDone done) {
  Reservation reservation = store_.begin_grant(session, bytes);
  reserve(std::move(reservation), std::move(done), false);
}

void MemoryWork::reserve(Reservation reservation, GrantDone done, bool is_last_try) {
  if (reservation.ready()) return finish(reservation, 0, done);
  auto punch_first = reservation.punch;
  auto reserve = reservation.reserve;
  worker_.reserve(std::move(punch_first), std::move(reserve),
                  [this, reservation = std::move(reservation), done = std::move(done), is_last_try](int error) {
                    if (error != 0 && !is_last_try && try_again(reservation, done, error)) return;
                    finish(reservation, error, done);
                    on_change_();
                  });
}

// The machine has less than it said, or a limit that it does not tell of: whatever has memory and is nobody's is given
// back before a grant is refused. False, having done nothing, where there is none.
bool MemoryWork::try_again(const Reservation& reservation, const GrantDone& done, int error) {
  if (store_.warm_bytes() == 0) return false;
  static_cast<void>(store_.abort_grant(reservation, error));
  try {
    Reservation again = store_.begin_grant(reservation.session, reservation.range.bytes, Store::Need::kPressing);
    reserve(std::move(again), done, true);
  } catch (const Error&) {
    done(nullptr, std::current_exception());
    on_change_();
  }
  return true;
}

void MemoryWork::look() {
  punch();
  ahead_.update();
}

void MemoryWork::finish(const Reservation& reservation, int error, const GrantDone& done) {
  Granted granted;
  try {
    if (error != 0) throw store_.abort_grant(reservation, error);
    granted = store_.finish_grant(reservation);
  } catch (const Error&) {
    return done(nullptr, std::current_exception());
  }
  done(&granted, nullptr);
}

void MemoryWork::punch() {
  if (punching_) return;
  auto ranges = store_.take_punch_work();
  if (ranges.empty()) return;
  punching_ = true;
  auto copy = ranges;
  worker_.punch(std::move(copy), [this, ranges = std::move(ranges)] {
    punching_ = false;
    store_.punched(ranges);
    punch();
    on_change_();
  });
}

}  // namespace tensorbroker::broker
