#include "client/wait_queue.h"

#include <sys/eventfd.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "client/wait_service.h"

namespace tensorbroker {
namespace {

int make_descriptor() {
  const int descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (descriptor < 0) throw FileError(errno, "eventfd", "no descriptor is left for an event loop's waits");
  return descriptor;
}

}  // namespace

WaitQueue::WaitQueue() : descriptor_(make_descriptor()) {}

WaitQueue::~WaitQueue() {
  close(descriptor_);
  nudge_wait_service();  // which finds that nobody wants its waits
}

void WaitQueue::push(WaitResult result) {
  const std::lock_guard held(mutex_);
  results_.push_back(std::move(result));
  if (results_.size() == 1) eventfd_write(descriptor_, 1);
}

std::vector<WaitResult> WaitQueue::take() {
  const std::lock_guard held(mutex_);
  eventfd_t count = 0;
  eventfd_read(descriptor_, &count);
  return std::exchange(results_, {});
}

void WaitQueue::drop(std::uint64_t id) {
  const std::lock_guard held(mutex_);
  std::erase_if(results_, [id](const WaitResult& result) { return result.id == id; });
}

}  // namespace tensorbroker
