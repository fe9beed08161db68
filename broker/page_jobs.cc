#include "broker/page_jobs.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace tensorbroker::broker {

void PageJobs::reserve(std::vector<Range> punch, std::vector<Range> reserve, std::function<void(int)> done) {
  const std::lock_guard lock(mutex_);
  drop_prepared(punch);
  reserving_.push_back({std::move(punch), {reserve.begin(), reserve.end()}, {}, std::move(done)});
}

void PageJobs::punch(std::vector<Range> ranges, std::function<void()> done) {
  const std::lock_guard lock(mutex_);
  punching_.push_back({std::move(ranges), std::move(done)});
}

void PageJobs::prepare(const Range& range, std::function<void(int)> done) {
  const std::lock_guard lock(mutex_);
  preparing_.push_back({range, std::move(done)});
}

// Done after the reservation it would give memory to what is nobody's any more.
void PageJobs::drop_prepared(const std::vector<Range>& punched) {
  std::erase_if(preparing_, [&](Preparing& job) {
    if (std::none_of(punched.begin(), punched.end(), [&](const Range& r) { return r.overlaps(job.range); }))
      return false;
    loop_.post([done = std::move(job.done)] { done(ECANCELED); });
    return true;
  });
}

bool PageJobs::empty() {
  const std::lock_guard lock(mutex_);
  return reserving_.empty() && punching_.empty() && preparing_.empty();
}

void PageJobs::work() {
  std::unique_lock lock(mutex_);
  if (!reserving_.empty()) {
    Reserving job = std::move(reserving_.front());
    reserving_.pop_front();
    lock.unlock();
    work_at(std::move(job));
  } else if (!punching_.empty()) {
    const Punching job = std::move(punching_.front());
    punching_.pop_front();
    lock.unlock();
    work_at(job);
  } else {
    const Preparing job = std::move(preparing_.front());
    preparing_.pop_front();
    lock.unlock();
    work_at(job);
  }
}

void PageJobs::work_at(Reserving job) {
  if (waits_to_be_punched(job.left)) punch_all_queued();
  int error = reserve_slice(job);
  if (error == ENOSPC || error == ENOMEM) {
    punch_all_queued();
    error = reserve_slice(job);
  }
  if (error == 0 && !job.left.empty()) {
    const std::lock_guard lock(mutex_);
    reserving_.push_back(std::move(job));
    return;
  }
  if (error != 0) {
    for (const Range& range : job.reserved) arena_.punch(range);
  }
  loop_.post([done = std::move(job.done), error] { done(error); });
}

void PageJobs::work_at(const Punching& job) {
  for (const Range& range : job.ranges) arena_.punch(range);
  loop_.post(job.done);
}

void PageJobs::work_at(const Preparing& job) {
  loop_.post([done = job.done, error = arena_.reserve_zeroed(job.range)] { done(error); });
}

int PageJobs::reserve_slice(Reserving& job) {
  if (job.left.empty()) return arena_.prepare(std::exchange(job.punch, {}), {});
  Range& next = job.left.front();
  const Range slice{next.offset, std::min(next.bytes, kSliceBytes)};
  if (const int error = arena_.prepare(std::exchange(job.punch, {}), {&slice, 1}); error != 0) return error;
  job.reserved.push_back(slice);
  next = {slice.end(), next.bytes - slice.bytes};
  if (next.empty()) job.left.pop_front();
  return 0;
}

bool PageJobs::waits_to_be_punched(const std::deque<Range>& ranges) {
  const std::lock_guard lock(mutex_);
  for (const Punching& job : punching_) {
    for (const Range& range : job.ranges) {
      if (std::any_of(ranges.begin(), ranges.end(), [&](const Range& r) { return r.overlaps(range); })) return true;
    }
  }
  return false;
}

void PageJobs::punch_all_queued() {
  std::deque<Punching> queued;
  {
    const std::lock_guard lock(mutex_);
    queued.swap(punching_);
  }
  for (const Punching& job : queued) work_at(job);
}

}  // namespace tensorbroker::broker
