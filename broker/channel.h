// One client's connection, as the rest of the broker sees it: something to answer on. On the loop's thread alone.

#ifndef TENSORBROKER_BROKER_CHANNEL_H_
#define TENSORBROKER_BROKER_CHANNEL_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "broker/peer.h"
#include "broker/segment_file.h"
#include "proto/command_ring.h"

namespace tensorbroker::broker {

using Deadline = std::chrono::steady_clock::time_point;

// The ways that a frame takes. A reply takes its request's, or the socket where its client sleeps at that, where it
// does not fit into the ring, or where something goes along.
enum class Transport : std::uint8_t { kSocket, kRing };

class Channel {
 public:
  virtual ~Channel() = default;

  // Queues one frame, and descriptors that go along with it. Closes the connection instead where its peer reads too
  // slowly.
  virtual void send(std::span<const std::byte> message, std::vector<SegmentFile> along, Transport way) = 0;
  // Requests come through these rings as well from now on. They must be mapped until close().
  virtual void use_rings(const CommandRings& rings) = 0;
  // Sends what is queued, as far as the peer takes it at once, and closes. Its handler hears closed() once, later.
  virtual void close(const std::string& reason) = 0;
  // The process that connected, as the kernel says.
  virtual Peer peer() const noexcept = 0;
};

// What a connection tells. One for each connection.
class ChannelHandler {
 public:
  virtual ~ChannelHandler() = default;

  // One frame's bytes: a private copy, aligned to 8, valid during the call. False where `turn_ends` came before its
  // end: it is then called again with the same bytes, after other clients had their turns. Throws ProtocolError where
  // the frame is malformed: the connection is then closed.
  // Frames of one transport follow each other; those of the other may come in between.
  virtual bool on_frame(std::span<const std::byte> frame, Transport way, Deadline turn_ends) = 0;
  // Whether the handshake is over. Until then the client's time is limited.
  virtual bool greeted() const noexcept = 0;
  // The connection is gone, whoever closed it; nothing follows.
  virtual void on_closed() = 0;
};

// A peer that does not keep to the protocol. Costs it the connection.
class ProtocolError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_CHANNEL_H_
