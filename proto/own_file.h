// Opening files that lie where others can put names: /dev/shm, or a runtime directory.

#ifndef TENSORBROKER_PROTO_OWN_FILE_H_
#define TENSORBROKER_PROTO_OWN_FILE_H_

#include <sys/types.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace tensorbroker {

// Opens `path` with `flags` of open(2), close-on-exec, without following a link and without waiting (for the other end
// of a pipe that somebody put there); a file that is made gets mode 0600. Returns the descriptor, or -1 with errno set.
// Throws AccessError, naming the path and the reason, for a link, for what is no regular file, belongs to another user
// than `owner`, or can be written by others than its owner.
int open_own_file(const std::string& path, int flags, uid_t owner);

// Closes a descriptor at the end of the block.
class ScopedDescriptor {
 public:
  explicit ScopedDescriptor(int fd) noexcept : fd_(fd) {}
  ~ScopedDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  ScopedDescriptor(const ScopedDescriptor&) = delete;
  ScopedDescriptor& operator=(const ScopedDescriptor&) = delete;
  int get() const noexcept { return fd_; }
  // The caller closes it from here on.
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_OWN_FILE_H_
