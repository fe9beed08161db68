// What waits came to, on its way from the service's thread to an event loop: a queue whose descriptor is readable while
// there is something in it.
//
// Thread safe. Results that nobody takes are let go of with the queue, and so are the waits that it is for.

#ifndef TENSORBROKER_CLIENT_WAIT_QUEUE_H_
#define TENSORBROKER_CLIENT_WAIT_QUEUE_H_

#include <cstdint>
#include <exception>
#include <mutex>
#include <vector>

#include "client/storage.h"

namespace tensorbroker {

// Of one wait: a leased storage, or an error, or neither where the time has passed.
struct WaitResult {
  std::uint64_t id = 0;
  detail::StorageRef storage{};
  std::exception_ptr error{};
};

class WaitQueue {
 public:
  // Throws FileError where no descriptor is left.
  WaitQueue();
  ~WaitQueue();
  WaitQueue(const WaitQueue&) = delete;
  WaitQueue& operator=(const WaitQueue&) = delete;

  // An eventfd, for poll, epoll and event loops alone.
  int descriptor() const noexcept { return descriptor_; }

  void push(WaitResult result);
  // All there is. Never blocks.
  std::vector<WaitResult> take();
  // Lets go of that one.
  void drop(std::uint64_t id);

 private:
  const int descriptor_;
  std::mutex mutex_;  // short
  std::vector<WaitResult> results_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_WAIT_QUEUE_H_
