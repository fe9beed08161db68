#include "broker/connection.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <utility>

#include "proto/frame.h"

namespace tensorbroker::broker {

namespace asio = boost::asio;
using boost::system::error_code;

void Connection::start(std::shared_ptr<ChannelHandler> handler) {
  handler_ = std::move(handler);
  error_code ignored;
  socket_.non_blocking(true, ignored);
  read();
}

void Connection::read() {
  socket_.async_read_some(asio::buffer(chunk_), [self = shared_from_this()](error_code error, std::size_t bytes) {
    if (self->closed_) return;
    if (error) return self->close({});
    try {
      self->take({self->chunk_.data(), bytes});
    } catch (const ProtocolError& e) {
      return self->close(e.what());
    }
    if (!self->closed_) self->read();
  });
}

void Connection::take(std::span<const std::byte> bytes) {
  while (!bytes.empty() && !closed_) {
    if (frame_bytes_ == 0 && !take_length(bytes)) return;
    const std::size_t n = std::min(bytes.size(), frame_bytes_ - frame_.size());
    frame_.insert(frame_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    bytes = bytes.subspan(n);
    if (frame_.size() < frame_bytes_) return;
    handler_->on_frame(frame_);
    frame_bytes_ = 0;
    frame_.clear();
    // One large frame must not keep its memory for as long as the client lives.
    if (frame_.capacity() > kReadBytes) frame_.shrink_to_fit();
  }
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

void Connection::send(const flatbuffers::FlatBufferBuilder& message) {
  if (closed_) return;
  const std::uint32_t length = message.GetSize();
  if (queued_bytes_ + length > kMaxQueuedBytes) {
    return close("it does not read its replies: " + std::to_string(queued_bytes_) + " bytes are waiting");
  }
  std::vector<std::byte> frame(kFrameLengthBytes + length);
  std::memcpy(frame.data(), &length, kFrameLengthBytes);
  std::memcpy(frame.data() + kFrameLengthBytes, message.GetBufferPointer(), length);
  queued_bytes_ += frame.size();
  queue_.push_back(std::move(frame));
  if (!writing_) write();
}

// Most replies fit the socket's buffer at once; else the loop calls again when it has room.
void Connection::write() {
  writing_ = false;
  while (!queue_.empty()) {
    const std::vector<std::byte>& frame = queue_.front();
    error_code error;
    sent_ += socket_.write_some(asio::buffer(frame.data() + sent_, frame.size() - sent_), error);
    if (error == asio::error::would_block) return wait_to_write();
    if (error) return close({});
    if (sent_ < frame.size()) continue;
    queued_bytes_ -= frame.size();
    sent_ = 0;
    queue_.pop_front();
  }
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
  if (!reason.empty()) spdlog::warn("connection of pid {} closed: {}", peer_pid_, reason);
  error_code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
  queue_.clear();
  // Later, since the handler may be what is closing it.
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    if (const auto handler = std::exchange(self->handler_, nullptr)) handler->on_closed();
  });
}

}  // namespace tensorbroker::broker
