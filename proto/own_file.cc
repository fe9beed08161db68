#include "proto/own_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

// "" where nothing is wrong.
std::string fault_of(const struct stat& status, uid_t owner) {
  if (S_ISLNK(status.st_mode)) return "is a symbolic link, which somebody else could turn elsewhere";
  if (status.st_uid != owner) {
    return "belongs to uid " + std::to_string(status.st_uid) + ", not to uid " + std::to_string(owner);
  }
  if (!S_ISREG(status.st_mode)) return "is no regular file";
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "can be written by others than its owner";
  return "";
}

void check(const std::string& path, const struct stat& status, uid_t owner) {
  const std::string fault = fault_of(status, owner);
  if (!fault.empty()) throw AccessError(path + " " + fault + "; have it removed by its owner or root");
}

}  // namespace

int open_own_file(const std::string& path, int flags, uid_t owner) {
  struct stat status{};
  ScopedDescriptor fd(open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (fd.get() < 0) {
    const int error = errno;
    // What a stranger has put there may not even be opened: say whose it is.
    if (error != ENOENT && lstat(path.c_str(), &status) == 0) check(path, status, owner);
    errno = error;
    return -1;
  }
  if (fstat(fd.get(), &status) == 0) check(path, status, owner);
  return fd.release();
}

}  // namespace tensorbroker
