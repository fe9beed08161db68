#include "client/socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "proto/frame.h"
#include "proto/limits.h"

namespace tensorbroker {

Socket::Socket(int fd) noexcept : fd_(fd), identity_(identity_of(fd)) {}

Socket::~Socket() {
  if (is_ours()) close(fd_);
}

bool Socket::is_ours() const noexcept { return identity_.inode != 0 && identity_of(fd_) == identity_; }

bool Socket::poll(short events, Limit::Clock::duration slice) const noexcept {
  // Rounded up: a poll that ends a moment early would spin.
  const auto time = std::chrono::ceil<std::chrono::milliseconds>(std::max(slice, Limit::Clock::duration::zero()));
  pollfd p{fd_, events, 0};
  ::poll(&p, 1, static_cast<int>(time.count()));
  return (p.revents & POLLNVAL) == 0;
}

void Socket::shut_down() noexcept {
  if (is_ours()) shutdown(fd_, SHUT_RDWR);
}

std::shared_ptr<Socket> Socket::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return nullptr;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return nullptr;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    close(fd);
    errno = error;
    return nullptr;
  }
  return std::make_shared<Socket>(fd);
}

bool FrameReader::read(const Socket& socket) {
  constexpr std::size_t kChunk = 4096;
  if (!socket.is_ours()) return false;
  if (buffer_.size() < filled_ + kChunk) buffer_.resize(filled_ + kChunk);
  const ssize_t n = receive(socket.fd(), buffer_.data() + filled_, buffer_.size() - filled_, &files_);
  if (n > 0) filled_ += static_cast<std::size_t>(n);
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

bool FrameReader::is_malformed() const noexcept {
  if (filled_ < kFrameLengthBytes) return false;
  const std::uint32_t length = frame_length(buffer_.data());
  return length == 0 || length > kMaxFrameBytes;
}

std::optional<Frame> FrameReader::next() {
  if (filled_ < kFrameLengthBytes || is_malformed()) return std::nullopt;
  const std::size_t end = kFrameLengthBytes + frame_length(buffer_.data());
  if (filled_ < end) return std::nullopt;
  Frame frame(buffer_.begin() + kFrameLengthBytes, buffer_.begin() + static_cast<std::ptrdiff_t>(end));
  std::memmove(buffer_.data(), buffer_.data() + end, filled_ - end);
  filled_ -= end;
  return frame;
}

ReceivedFile FrameReader::take_file(std::size_t count) {
  ReceivedFile first;
  for (std::size_t i = 0; i < count && !files_.empty(); ++i) {
    if (i == 0) first = std::move(files_.front());
    files_.pop_front();
  }
  return first;
}

bool send_part(const Socket& socket, std::span<const std::byte> frame, std::size_t* sent) noexcept {
  if (!socket.is_ours()) return false;
  const auto length = static_cast<std::uint32_t>(frame.size());
  std::array<std::byte, kFrameLengthBytes> prefix;
  std::memcpy(prefix.data(), &length, sizeof length);
  const std::size_t of_prefix = std::min(*sent, kFrameLengthBytes);
  const std::size_t of_frame = *sent - of_prefix;
  std::array<iovec, 2> parts{{{prefix.data() + of_prefix, kFrameLengthBytes - of_prefix},
                              {const_cast<std::byte*>(frame.data()) + of_frame, frame.size() - of_frame}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const ssize_t n = sendmsg(socket.fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n > 0) *sent += static_cast<std::size_t>(n);
  return n >= 0 || errno == EAGAIN || errno == EINTR;
}

bool write_frame(const Socket& socket, std::span<const std::byte> frame, const Limit& limit) {
  for (std::size_t sent = 0;;) {
    if (!send_part(socket, frame, &sent)) return false;
    if (sent == kFrameLengthBytes + frame.size()) return true;
    if (limit.passed() || limit.is_closed()) return false;
    if (!socket.poll(POLLOUT, std::min<Limit::Clock::duration>(kPollSlice, limit.remaining()))) return false;
  }
}

std::optional<Frame> read_frame(const Socket& socket, const Limit& limit, ReceivedFile* file) {
  FrameReader reader;
  for (;;) {
    const bool more = reader.read(socket);
    if (auto frame = reader.next()) {
      if (file != nullptr) *file = reader.take_file(1);
      return frame;
    }
    if (!more || reader.is_malformed() || limit.passed() || limit.is_closed()) return std::nullopt;
    if (!socket.poll(POLLIN, std::min<Limit::Clock::duration>(kPollSlice, limit.remaining()))) return std::nullopt;
  }
}

}  // namespace tensorbroker
