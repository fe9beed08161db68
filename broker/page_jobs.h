// What the page worker has to do, and in which order: the queue of reservations, punches and what is prepared ahead of
// demand, and one piece of work at a time.
//
// Reservations take turns in slices of kSliceBytes: a small one is not held up by a large one. Punching comes after
// them, but before any is refused for want of room, and before any of the same pages, which will be written to. What
// nobody asked for comes last, and not at all where a reservation punches it. Results are posted to the loop and called
// there.
// Thread safe; one thread at a time calls work().

#ifndef TENSORBROKER_BROKER_PAGE_JOBS_H_
#define TENSORBROKER_BROKER_PAGE_JOBS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "broker/arena_file.h"
#include "broker/event_loop.h"
#include "broker/range.h"

namespace tensorbroker::broker {

class PageJobs {
 public:
  static constexpr std::uint64_t kSliceBytes = 64ULL << 20;

  // Both must outlive it.
  PageJobs(EventLoop& loop, const ArenaFile& arena) : loop_(loop), arena_(arena) {}

  // As PageWorker's.
  void reserve(std::vector<Range> punch, std::vector<Range> reserve, std::function<void(int)> done);
  void punch(std::vector<Range> ranges, std::function<void()> done);
  void prepare(const Range& range, std::function<void(int)> done);

  bool empty();
  // Does the next piece of work. REQUIRES: not empty.
  void work();

 private:
  struct Reserving {
    std::vector<Range> punch;
    std::deque<Range> left;
    std::vector<Range> reserved;
    std::function<void(int)> done;
  };
  struct Punching {
    std::vector<Range> ranges;
    std::function<void()> done;
  };
  struct Preparing {
    Range range;
    std::function<void(int)> done;
  };

  void work_at(Reserving job);
  void work_at(const Punching& job);
  void work_at(const Preparing& job);
  void drop_prepared(const std::vector<Range>& punched);
  int reserve_slice(Reserving& job);
  bool waits_to_be_punched(const std::deque<Range>& ranges);
  void punch_all_queued();

  EventLoop& loop_;
  const ArenaFile& arena_;
  std::mutex mutex_;
  std::deque<Reserving> reserving_;
  std::deque<Punching> punching_;
  std::deque<Preparing> preparing_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PAGE_JOBS_H_
