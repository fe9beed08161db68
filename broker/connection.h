// One client's socket: frames in, frames out. See channel.h for its contract.
//
// A frame's buffer grows as its bytes arrive, so that a length alone costs nothing; what is queued for a peer that does
// not read is bounded. On the loop's thread alone; kept alive by the operations in flight.

#ifndef TENSORBROKER_BROKER_CONNECTION_H_
#define TENSORBROKER_BROKER_CONNECTION_H_

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/channel.h"

namespace tensorbroker::broker {

class Connection final : public Channel, public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  Connection(Socket socket, pid_t peer_pid) : socket_(std::move(socket)), peer_pid_(peer_pid) {}

  // Begins to read. The handler must outlive its on_closed().
  void start(std::shared_ptr<ChannelHandler> handler);

  void send(const flatbuffers::FlatBufferBuilder& message) override;
  void close(const std::string& reason) override;
  pid_t peer_pid() const noexcept override { return peer_pid_; }

 private:
  static constexpr std::size_t kReadBytes = 64 * 1024;
  static constexpr std::size_t kMaxQueuedBytes = 4 * 1024 * 1024;

  void read();
  void take(std::span<const std::byte> bytes);
  bool take_length(std::span<const std::byte>& bytes);
  void write();
  void wait_to_write();

  Socket socket_;
  pid_t peer_pid_;
  std::shared_ptr<ChannelHandler> handler_;
  std::vector<std::byte> chunk_ = std::vector<std::byte>(kReadBytes);
  std::array<std::byte, 4> prefix_{};
  std::size_t prefix_bytes_ = 0;
  std::size_t frame_bytes_ = 0;
  std::vector<std::byte> frame_;
  std::deque<std::vector<std::byte>> queue_;
  std::size_t queued_bytes_ = 0;
  std::size_t sent_ = 0;  // of the first frame in the queue
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_CONNECTION_H_
