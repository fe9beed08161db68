#include "client/received_file.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <map>
#include <mutex>

#include "client/file_identity.h"
#include "proto/limits.h"

namespace tensorbroker {
namespace {

// Of this process, by descriptor. Never destroyed: connections are used during static destruction.
struct Received {
  std::mutex mutex;
  std::map<int, FileIdentity> files;
};

Received& received() {
  static auto* all = new Received;
  return *all;
}

bool is_listed(int fd) noexcept {
  const auto at = received().files.find(fd);
  return at != received().files.end() && at->second == identity_of(fd);
}

}  // namespace

ReceivedFile::~ReceivedFile() {
  if (fd_ < 0) return;
  const std::lock_guard held(received().mutex);
  if (is_listed(fd_)) close(fd_);
  received().files.erase(fd_);
}

int ReceivedFile::fd() const noexcept {
  const std::lock_guard held(received().mutex);
  return is_listed(fd_) ? fd_ : -1;
}

ssize_t receive(int socket, void* buffer, std::size_t bytes, std::deque<ReceivedFile>* files) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kMaxItemsPerRequest * sizeof(int))> control{};
  iovec part{buffer, bytes};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const std::lock_guard held(received().mutex);
  const ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  for (cmsghdr* header = n > 0 ? CMSG_FIRSTHDR(&message) : nullptr; header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; at + sizeof(int) <= header->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + at, sizeof fd);
      received().files[fd] = identity_of(fd);
      files->push_back(ReceivedFile(fd));
    }
  }
  return n;
}

void lock_received_files() noexcept { received().mutex.lock(); }
void unlock_received_files() noexcept { received().mutex.unlock(); }

void close_received_files_in_child() noexcept {
  for (const auto& [fd, identity] : received().files) {
    if (identity == identity_of(fd)) close(fd);
  }
  received().files.clear();
}

}  // namespace tensorbroker
