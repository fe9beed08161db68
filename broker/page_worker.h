// The thread that reserves and punches pages of the arena, so that the loop never waits for the kernel to zero memory.
//
// Reservations take turns in slices of kSliceBytes: a small one is not held up by a large one. Punching comes after
// them, but before any is refused for want of room, and before any of the same pages, which will be written to. Results
// are posted back to the loop and called there.
// Everything but the thread's own work is called on the loop's thread.

#ifndef TENSORBROKER_BROKER_PAGE_WORKER_H_
#define TENSORBROKER_BROKER_PAGE_WORKER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "broker/arena_file.h"
#include "broker/event_loop.h"
#include "broker/range.h"

namespace tensorbroker::broker {

class PageWorker {
 public:
  static constexpr std::uint64_t kSliceBytes = 64ULL << 20;

  // Both must outlive the worker.
  PageWorker(EventLoop& loop, const ArenaFile& arena);
  // Ends the thread after the slice that it is at; what is left is dropped, its results never called.
  ~PageWorker();
  PageWorker(const PageWorker&) = delete;
  PageWorker& operator=(const PageWorker&) = delete;

  // Frees the pages of `punch`, then reserves those of `reserve`. `done` gets 0, or the errno that it ran into; then
  // none of `reserve` has pages.
  void reserve(std::vector<Range> punch, std::vector<Range> reserve, std::function<void(int)> done);
  void punch(std::vector<Range> ranges, std::function<void()> done);

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

  void work();
  void work_at(Reserving job);
  void work_at(const Punching& job);
  int reserve_slice(Reserving& job);
  bool waits_to_be_punched(const std::deque<Range>& ranges);
  void punch_all_queued();

  EventLoop& loop_;
  const ArenaFile& arena_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Reserving> reserving_;
  std::deque<Punching> punching_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PAGE_WORKER_H_
