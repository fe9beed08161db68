#include "broker/connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "broker/log.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "proto/schema/control_generated.h"

namespace tensorbroker::broker {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

std::span<const std::byte> wake_up_message() {
  static const auto message = [] {
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(schema::CreateReplyMessage(builder, 0));
    return builder.Release();
  }();
  return std::as_bytes(std::span(message.data(), message.size()));
}

}  // namespace

void Connection::start(std::shared_ptr<ChannelHandler> handler) {
  handler_ = std::move(handler);
  error_code ignored;
  socket_.non_blocking(true, ignored);
  keep_time();
  read();
}

void Connection::read() {
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](error_code error) {
    if (self->closed_) return;
    if (error) return self->close({});
    self->ask_for_turn();
  });
}

void Connection::ask_for_turn() { turns_.ask(peer_.pid, shared_from_this()); }

void Connection::take_turn(Deadline ends) {
  if (closed_) return;
  if (bytes_.empty() && !frame_is_whole()) return receive(ends);
  handle_bytes(ends);
  if (bytes_.empty()) rest_ = {};
}

void Connection::receive(Deadline turn_ends) {
  // One for all connections: each takes what it has read before another one reads.
  static std::array<std::byte, kReadBytes> buffer;
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const ssize_t bytes = recvmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return read();
  if (bytes <= 0) return close({});
  // There is no room for descriptors above, so the kernel closed those that came, and says that something was cut off.
  if ((message.msg_flags & MSG_CTRUNC) != 0) return close("it sent descriptors along, which no message has");
  bytes_ = {buffer.data(), static_cast<std::size_t>(bytes)};
  handle_bytes(turn_ends);
  rest_.assign(bytes_.begin(), bytes_.end());
  bytes_ = rest_;
}

// Takes what came until the turn is over; the rest is taken in the next, before more is read.
void Connection::handle_bytes(Deadline turn_ends) {
  try {
    bytes_ = take(bytes_, turn_ends);
  } catch (const ProtocolError& e) {
    close(e.what());
  }
  if (closed_) {
    bytes_ = {};
    return;
  }
  keep_time();
  if (bytes_.empty() && !frame_is_whole()) return read();
  ask_for_turn();
}

// Cuts the bytes apart and has whole frames handled. Returns what it left when the turn was over.
std::span<const std::byte> Connection::take(std::span<const std::byte> bytes, Deadline turn_ends) {
  if (frame_is_whole() && !handle_frame(turn_ends)) return bytes;
  while (!bytes.empty() && !closed_) {
    if (frame_bytes_ == 0 && !take_length(bytes)) break;
    const std::size_t n = std::min(bytes.size(), frame_bytes_ - frame_.size());
    frame_.insert(frame_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    bytes = bytes.subspan(n);
    if (!frame_is_whole()) continue;
    // Before it is answered: the client sleeps now, and the answer finds this process where it will look for the next.
    if (requests_ != nullptr) requests_->heard_by_socket();
    if (!handle_frame(turn_ends) || Deadline::clock::now() >= turn_ends) return bytes;
  }
  return bytes;
}

// False where the turn was over before the frame was handled to its end.
bool Connection::handle_frame(Deadline turn_ends) {
  if (!handler_->on_frame(frame_, Transport::kSocket, turn_ends)) return false;
  frame_bytes_ = 0;
  frame_.clear();
  // One large frame must not keep its memory for as long as the client lives.
  if (frame_.capacity() > kReadBytes) frame_.shrink_to_fit();
  if (handler_->greeted()) timer_.stop();
  return true;
}

// The clock runs from the beginning of the handshake, or of a frame, to its end: bytes that trickle in do not stop it.
void Connection::keep_time() {
  const bool greeted = handler_->greeted();
  const bool incomplete = prefix_bytes_ != 0 || (frame_bytes_ != 0 && !frame_is_whole());
  if ((greeted && !incomplete) || timer_.running() || patience_.count() == 0) return;
  const char* const what = greeted ? "it did not finish a message" : "it did not finish its handshake";
  timer_.start(patience_,
               [weak = weak_from_this(), text = what + (" within " + std::to_string(patience_.count()) + " ms")] {
                 if (const auto self = weak.lock()) self->close(text);
               });
}

bool Connection::take_length(std::span<const std::byte>& bytes) {
  const std::size_t n = std::min(bytes.size(), prefix_.size() - prefix_bytes_);
  std::memcpy(prefix_.data() + prefix_bytes_, bytes.data(), n);
  prefix_bytes_ += n;
  bytes = bytes.subspan(n);
  if (prefix_bytes_ < prefix_.size()) return false;
  prefix_bytes_ = 0;
  const std::uint32_t length = frame_length(prefix_.data());
  if (length == 0 || length > kMaxFrameBytes) {
    throw ProtocolError("a frame of " + std::to_string(length) + " bytes");
  }
  frame_bytes_ = length;
  return true;
}

void Connection::use_rings(const CommandRings& rings) {
  if (closed_) return;
  replies_.emplace(rings.replies, rings.replies.head->load(std::memory_order_acquire));
  requests_ = std::make_shared<RequestRing>(rings.requests, peer_.pid, turns_, ring_watch_, handler_,
                                            [weak = weak_from_this()](const std::string& why) {
                                              if (const auto self = weak.lock()) self->close(why);
                                            });
}

void Connection::send(std::span<const std::byte> message, std::vector<SegmentFile> along, Transport way) {
  if (closed_) return;
  if (way == Transport::kRing && along.empty() && send_by_ring(message)) return;
  queue(message, std::move(along));
}

// False where there is no room, or its client sleeps at the socket.
bool Connection::send_by_ring(std::span<const std::byte> message) {
  if (!replies_ || replies_->reader_sleeps()) return false;
  const auto written = replies_->write(message);
  // It fell asleep meanwhile. Nobody waits for this one: its coming wakes who sleeps at the socket.
  if (written == RingWriter::Written::kUnseen) queue(wake_up_message(), {});
  return written != RingWriter::Written::kNoRoom;
}

void Connection::queue(std::span<const std::byte> message, std::vector<SegmentFile> along) {
  if (queued_bytes_ + message.size() > kMaxQueuedBytes) {
    return close("it does not read its replies: " + std::to_string(queued_bytes_) + " bytes are waiting");
  }
  if (queue_.empty() && along.empty()) {
    const ssize_t n = send_at_once(message);
    if (n < 0) return close({});
    sent_ = static_cast<std::size_t>(n);
    if (sent_ == kFrameLengthBytes + message.size()) {
      sent_ = 0;
      return;
    }
  }
  queue_.push_back({framed(message), std::move(along)});
  queued_bytes_ += queue_.back().frame.size();
  if (!writing_) write();
}

// Most replies fit the socket's buffer, and need no copy. Returns how many bytes of the frame are sent, negative where
// the connection is lost.
ssize_t Connection::send_at_once(std::span<const std::byte> message) noexcept {
  auto length = static_cast<std::uint32_t>(message.size());
  std::array<iovec, 2> parts{{{&length, sizeof length}, {const_cast<std::byte*>(message.data()), message.size()}}};
  msghdr frame{};
  frame.msg_iov = parts.data();
  frame.msg_iovlen = parts.size();
  const ssize_t n = sendmsg(socket_.native_handle(), &frame, MSG_DONTWAIT | MSG_NOSIGNAL);
  return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

// What is left is sent as far as there is room; then the loop calls again when there is.
void Connection::write() {
  writing_ = false;
  while (!queue_.empty()) {
    const ssize_t n = write_some(queue_.front());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return wait_to_write();
    if (n < 0) return close({});
    sent_ += static_cast<std::size_t>(n);
    queue_.front().along.clear();
    if (sent_ < queue_.front().frame.size()) continue;
    queued_bytes_ -= queue_.front().frame.size();
    sent_ = 0;
    queue_.pop_front();
  }
}

ssize_t Connection::write_some(const Outgoing& outgoing) {
  constexpr int kFlags = MSG_DONTWAIT | MSG_NOSIGNAL;
  iovec part{const_cast<std::byte*>(outgoing.frame.data()) + sent_, outgoing.frame.size() - sent_};
  if (outgoing.along.empty()) return ::send(socket_.native_handle(), part.iov_base, part.iov_len, kFlags);
  std::array<int, kMaxItemsPerRequest> descriptors{};
  for (std::size_t i = 0; i < outgoing.along.size(); ++i) descriptors.at(i) = outgoing.along[i].fd();
  const std::size_t bytes = outgoing.along.size() * sizeof(int);
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof descriptors)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(bytes);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(header), descriptors.data(), bytes);
  return sendmsg(socket_.native_handle(), &message, kFlags);
}

void Connection::wait_to_write() {
  writing_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](error_code error) {
    if (!error && !self->closed_) self->write();
  });
}

void Connection::close(const std::string& reason) {
  if (closed_) return;
  closed_ = true;
  timer_.stop();
  if (requests_ != nullptr) requests_->close();
  replies_.reset();
  if (!reason.empty()) log_refusal("connection of pid " + std::to_string(peer_.pid) + " closed: " + reason);
  error_code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
  queue_.clear();
  charge_ = {};
  // Later, since the handler may be what is closing it.
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (const auto handler = std::exchange(self->handler_, nullptr)) handler->on_closed();
  });
}

}  // namespace tensorbroker::broker
