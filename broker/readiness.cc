#include "broker/readiness.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace tensorbroker::broker {
namespace {

// SIGPIPE is ignored in this process (main.cc): a reader that is gone is no matter.
void write_all(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

Readiness::~Readiness() { close_all(); }

void Readiness::close_all() noexcept {
  if (parent_fd_ >= 0) close(parent_fd_);
  if (ready_fd_ && *ready_fd_ > STDERR_FILENO) close(*ready_fd_);
  parent_fd_ = -1;
  ready_fd_.reset();
}

void Readiness::ready() noexcept {
  if (ready_fd_) write_all(*ready_fd_, "\n");
  if (parent_fd_ >= 0) write_all(parent_fd_, kReadyVerdict);
  close_all();
  notify_systemd("READY=1");
}

void Readiness::failed(const std::string& message) noexcept {
  write_all(parent_fd_ >= 0 ? parent_fd_ : STDERR_FILENO, "tensorbrokerd: " + message + "\n");
  close_all();
}

void notify_systemd(std::string_view state) noexcept {
  const char* path = std::getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path == nullptr || path[0] == '\0' || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
         static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
  close(fd);
}

}  // namespace tensorbroker::broker
