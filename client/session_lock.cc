#include "client/session_lock.h"

#include <sys/file.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "proto/own_file.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

// The lock belongs to the open file description, which the descriptor that is locked shares with the mapping.
std::unique_ptr<SessionSegment> map_and_lock(int fd, const InstanceName& name, std::uint64_t id) {
  auto session = std::make_unique<SessionSegment>(SessionSegment::map(fd, name, id));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    throw RuntimeError("cannot lock the session " + session->segment().name() + ": " + std::strerror(errno) +
                       "; something else has locked it");
  }
  return session;
}

std::unique_ptr<SessionSegment> open_and_lock(const InstanceName& name, std::uint64_t id) {
  const ScopedDescriptor fd(open_segment_file(name.segment(SegmentKind::kSession, id), Access::kReadWrite, name.uid));
  return map_and_lock(fd.get(), name, id);
}

}  // namespace

std::unique_ptr<SessionSegment> map_and_lock_session(const InstanceName& name, std::uint64_t id, bool inherited,
                                                     ReceivedFile received) {
  auto session = received ? map_and_lock(received.fd(), name, id) : open_and_lock(name, id);
  Segment& segment = session->segment();
  if (!inherited) madvise(segment.data(), segment.size(), MADV_DONTFORK);
  return session;
}

}  // namespace tensorbroker
