// The thread that reserves and punches pages of the arena, so that the loop never waits for the kernel to zero memory.
//
// What it does when is page_jobs.h's. Everything but the thread's own work is called on the loop's thread.

#ifndef TENSORBROKER_BROKER_PAGE_WORKER_H_
#define TENSORBROKER_BROKER_PAGE_WORKER_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "broker/page_jobs.h"

namespace tensorbroker::broker {

class PageWorker {
 public:
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
  // When there is nothing else to do, gives the range pages that are zeros already. `done` gets 0 or an errno,
  // ECANCELED where a reservation that was asked for meanwhile punches it; then it has no pages.
  void prepare(const Range& range, std::function<void(int)> done);

 private:
  void work();

  PageJobs jobs_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PAGE_WORKER_H_
