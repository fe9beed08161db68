#include "broker/segment_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "proto/runtime_dir.h"
#include "proto/segment.h"

namespace tensorbroker::broker {

SegmentFile::SegmentFile(std::string segment_name)
    : fd_(open_segment_file(segment_name, Access::kReadWrite, geteuid())), name_(std::move(segment_name)) {}

SegmentFile::SegmentFile(SegmentFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), name_(std::move(other.name_)) {}

SegmentFile& SegmentFile::operator=(SegmentFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(name_, other.name_);
  return *this;
}

SegmentFile::~SegmentFile() {
  if (fd_ >= 0) close(fd_);
}

std::uint64_t SegmentFile::size() const noexcept {
  struct stat status{};
  return fstat(fd_, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

// Members of a group that may read the file can lock it, too, but only for reading: that is no broker's lock, and must
// not keep a successor from its instance.
bool SegmentFile::try_lock() const noexcept {
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  int result = 0;
  do {
    result = fcntl(fd_, F_OFD_SETLK, &lock);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return true;
  lock.l_type = F_RDLCK;
  return fcntl(fd_, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

void SegmentFile::share_with(gid_t group) const {
  if (fchown(fd_, static_cast<uid_t>(-1), group) != 0 || fchmod(fd_, 0640) != 0) {
    throw_not_shared(name_, group, errno);
  }
}

std::optional<gid_t> SegmentFile::group() const noexcept {
  struct stat status{};
  if (fstat(fd_, &status) != 0 || (status.st_mode & S_IRGRP) == 0) return std::nullopt;
  return status.st_gid;
}

void SegmentFile::reserve(const Range& range) const {
  if (!range.empty()) reserve_pages(fd_, range.offset, range.bytes, name_);
}

std::size_t SegmentFile::read_bytes(std::uint64_t offset, void* out, std::size_t bytes) const {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t n = pread(fd_, static_cast<char*>(out) + done, bytes - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

}  // namespace tensorbroker::broker
