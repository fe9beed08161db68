#include "broker/memory_work.h"

#include <utility>

namespace tensorbroker::broker {

MemoryWork::MemoryWork(EventLoop& loop, Store& store, std::function<void()> on_change)
    : store_(store), on_change_(std::move(on_change)), worker_(loop, store.arena()) {}

void MemoryWork::grant(std::uint64_t session, std::uint64_t bytes, GrantDone done) {
  Reservation reservation = store_.begin_grant(session, bytes);
  if (reservation.ready()) return finish(reservation, 0, done);
  auto punch_first = reservation.punch;
  auto reserve = reservation.reserve;
  worker_.reserve(std::move(punch_first), std::move(reserve),
                  [this, reservation = std::move(reservation), done = std::move(done)](int error) {
                    finish(reservation, error, done);
                    on_change_();
                  });
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
