// One client's socket: frames in, frames out. See channel.h for its contract.
//
// What one client can cost the others is bounded. It is heard in turns (turns.h), whatever it sent. A frame's buffer
// grows as its bytes arrive, so that a length alone costs nothing, and nothing is kept for a client that
// is quiet; what is queued for a peer that does not read is bounded. Who does not finish its handshake, or a frame that
// it has begun, within `patience` loses the connection, and so does who sends descriptors along: those never become
// this process's. On the loop's thread alone; kept alive by the operations in flight.

#ifndef TENSORBROKER_BROKER_CONNECTION_H_
#define TENSORBROKER_BROKER_CONNECTION_H_

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "broker/channel.h"
#include "broker/connection_quota.h"
#include "broker/event_loop.h"
#include "broker/peer.h"
#include "broker/request_ring.h"
#include "broker/turns.h"

namespace tensorbroker::broker {

class Connection final : public Channel, public TakesTurns, public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  // The turns and the watch must outlive the loop's run. `patience` 0: without end.
  Connection(EventLoop& loop, Turns& turns, RingWatch& rings, Socket socket, const Peer& peer,
             ConnectionQuota::Charge charge, std::chrono::milliseconds patience)
      : turns_(turns),
        ring_watch_(rings),
        socket_(std::move(socket)),
        peer_(peer),
        charge_(std::move(charge)),
        patience_(patience),
        timer_(loop) {}

  // Begins to read. The handler must outlive its on_closed().
  void start(std::shared_ptr<ChannelHandler> handler);

  void send(std::span<const std::byte> message, std::vector<SegmentFile> along, Transport way) override;
  void use_rings(const CommandRings& rings) override;
  void close(const std::string& reason) override;
  Peer peer() const noexcept override { return peer_; }

 private:
  static constexpr std::size_t kReadBytes = 64 * 1024;
  static constexpr std::size_t kMaxQueuedBytes = 4 * 1024 * 1024;

  struct Outgoing {
    std::vector<std::byte> frame;
    std::vector<SegmentFile> along;  // sent with its first byte
  };

  void read();
  void take_turn(Deadline ends) override;
  void ask_for_turn();
  void receive(Deadline turn_ends);
  void handle_bytes(Deadline turn_ends);
  std::span<const std::byte> take(std::span<const std::byte> bytes, Deadline turn_ends);
  bool take_length(std::span<const std::byte>& bytes);
  bool handle_frame(Deadline turn_ends);
  bool frame_is_whole() const noexcept { return frame_bytes_ != 0 && frame_.size() == frame_bytes_; }
  void keep_time();
  bool send_by_ring(std::span<const std::byte> message);
  void queue(std::span<const std::byte> message, std::vector<SegmentFile> along);
  ssize_t send_at_once(std::span<const std::byte> message) noexcept;
  void write();
  ssize_t write_some(const Outgoing& outgoing);
  void wait_to_write();

  Turns& turns_;
  RingWatch& ring_watch_;
  Socket socket_;
  Peer peer_;
  ConnectionQuota::Charge charge_;
  std::chrono::milliseconds patience_;
  Timer timer_;  // runs until the handshake is over, and while a frame is incomplete
  std::shared_ptr<ChannelHandler> handler_;
  std::vector<std::byte> rest_;       // read, and left for the next turn
  std::span<const std::byte> bytes_;  // what of it, or of the common buffer, is not taken yet
  std::array<std::byte, 4> prefix_{};
  std::size_t prefix_bytes_ = 0;
  std::size_t frame_bytes_ = 0;
  std::vector<std::byte> frame_;
  std::shared_ptr<RequestRing> requests_;
  std::optional<RingWriter> replies_;
  std::deque<Outgoing> queue_;
  std::size_t queued_bytes_ = 0;
  std::size_t sent_ = 0;  // of the first frame in the queue
  bool writing_ = false;
  bool closed_ = false;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_CONNECTION_H_
