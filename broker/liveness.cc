#include "broker/liveness.h"

#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "proto/segment.h"

namespace tensorbroker::broker {

Liveness::Liveness(const InstanceName& name, std::uint64_t session)
    : fd_(open_segment_file(name.segment(SegmentKind::kSession, session), Access::kReadWrite, name.uid)) {}

Liveness::Liveness(Liveness&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Liveness& Liveness::operator=(Liveness&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Liveness::~Liveness() {
  if (fd_ >= 0) close(fd_);
}

bool Liveness::alive() noexcept {
  int result = 0;
  do {
    result = flock(fd_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  // Anything but success leaves the session alone: only who holds the lock may revoke.
  return result != 0;
}

}  // namespace tensorbroker::broker
