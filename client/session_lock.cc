#include "client/session_lock.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tensorbroker/error.h"

namespace tensorbroker {

// The lock belongs to the open file description, which the descriptor that was locked must share with the mapping: so
// this one is mapped over the pages that SessionSegment mapped through a descriptor of its own.
std::unique_ptr<SessionSegment> map_and_lock_session(const InstanceName& name, std::uint64_t id, bool inherited) {
  auto session = std::make_unique<SessionSegment>(SessionSegment::open(name, id));
  Segment& segment = session->segment();
  const int fd = open_segment_file(segment.name(), Access::kReadWrite);
  int failed = 0;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 ||
      mmap(segment.data(), segment.size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
    failed = errno;
  }
  close(fd);
  if (failed != 0) {
    throw RuntimeError("cannot lock the session " + segment.name() + ": " + std::strerror(failed) +
                       "; something else has locked it");
  }
  if (!inherited) madvise(segment.data(), segment.size(), MADV_DONTFORK);
  return session;
}

}  // namespace tensorbroker
