// Descriptors that came over a socket and are not mapped yet.
//
// A forked child closes those of its parent: its copy of one would keep the lock that the parent's mapping is to hold,
// and with it a session whose process has ended. Thread safe, one object used by one thread at a time.

#ifndef TENSORBROKER_CLIENT_RECEIVED_FILE_H_
#define TENSORBROKER_CLIENT_RECEIVED_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <utility>

namespace tensorbroker {

// Owns one such descriptor, or none. Move only. What the user closed, and perhaps opened as something else, is left
// alone.
class ReceivedFile {
 public:
  ReceivedFile() = default;
  ReceivedFile(ReceivedFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ReceivedFile& operator=(ReceivedFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~ReceivedFile();

  // Whether one came.
  explicit operator bool() const noexcept { return fd_ >= 0; }
  // -1 where it is not what came any more.
  int fd() const noexcept;

 private:
  friend ssize_t receive(int socket, void* buffer, std::size_t bytes, std::deque<ReceivedFile>* files);
  explicit ReceivedFile(int fd) noexcept : fd_(fd) {}

  int fd_ = -1;
};

// recv(2) without waiting; the descriptors that came with the bytes are appended.
ssize_t receive(int socket, void* buffer, std::size_t bytes, std::deque<ReceivedFile>* files);

// For fork.cc. While they are locked none comes, and none goes.
void lock_received_files() noexcept;
void unlock_received_files() noexcept;
void close_received_files_in_child() noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_RECEIVED_FILE_H_
