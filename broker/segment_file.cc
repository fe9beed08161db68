#include "broker/segment_file.h"

#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "proto/segment.h"

namespace tensorbroker::broker {

SegmentFile::SegmentFile(std::string segment_name)
    : fd_(open_segment_file(segment_name, Access::kReadWrite)), name_(std::move(segment_name)) {}

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

bool SegmentFile::try_lock() const noexcept {
  int result = 0;
  do {
    result = flock(fd_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0;
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
