// Which file a descriptor is of: who keeps a descriptor looks before each use, since a user may have closed it, and the
// number may be another file's by now.
//
// Safe from any thread, and async-signal-safe.

#ifndef TENSORBROKER_CLIENT_FILE_IDENTITY_H_
#define TENSORBROKER_CLIENT_FILE_IDENTITY_H_

#include <sys/stat.h>
#include <sys/types.h>

namespace tensorbroker {

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;  // 0: none
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// None where the descriptor is not open.
inline FileIdentity identity_of(int fd) noexcept {
  struct stat status{};
  if (fd < 0 || fstat(fd, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_FILE_IDENTITY_H_
