// The connection to the broker: several threads' requests outstanding at once on one socket and its command rings.
//
// A request goes through the ring where the broker looks at that and there is room, else through the socket; replies
// come either way. There is no reading thread: a thread that needs a reply reads for all of them, and hands on what
// belongs to others. After a request by the ring it looks at the ring for a moment before it sleeps at the socket. A
// channel outlives its sockets: each one has an epoch, and a call that lost its socket says so and is repeated by its
// caller after a reconnect. Frames that a channel hands out are verified ReplyMessages. Thread safe; ring() never
// waits.

#ifndef TENSORBROKER_CLIENT_CHANNEL_H_
#define TENSORBROKER_CLIENT_CHANNEL_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>

#include "client/limit.h"
#include "client/socket.h"
#include "proto/command_ring.h"

namespace tensorbroker {

// The sequence of a reply; nullopt where the frame does not verify as a ReplyMessage.
std::optional<std::uint64_t> reply_sequence(std::span<const std::byte> frame);

class Channel {
 public:
  enum class Outcome { kReplied, kLost, kTimedOut, kClosed };
  struct Result {
    Outcome outcome = Outcome::kLost;
    Frame frame;              // where kReplied
    ReceivedFile file;        // that came with it
    std::uint64_t epoch = 0;  // of the socket that it came by
    bool was_sent = false;    // the request went out whole: the broker may have carried it out
  };

  // `ring_frame`: what the doorbell sends.
  explicit Channel(Frame ring_frame) : ring_frame_(std::move(ring_frame)) {}

  // Takes a connected socket into use, and the rings that the broker has taken into use for it (they may be empty); the
  // one before is dropped. Returns its epoch, counted from 1. The rings must be mapped until drop(), and are not
  // touched while no socket is in use.
  std::uint64_t open(std::shared_ptr<Socket> socket, const CommandRings& rings = {});
  // Ends the socket of this epoch, if it is still the one in use: its calls are lost.
  void drop(std::uint64_t epoch);
  bool is_open() const;
  // Of the socket in use; 0: none.
  std::uint64_t epoch() const;

  // Sends the request and waits for the reply with its sequence. kLost: there is no socket, or it ended before the
  // reply came. kTimedOut and kClosed (the limit's flag): the socket was dropped, so that no late reply is mistaken.
  Result call(std::uint64_t sequence, std::span<const std::byte> request, const Limit& limit);

  // The newest epoch there was, in use or not.
  std::uint64_t last_epoch() const;

  // Sends a request whose reply nobody waits for, and which is forgotten, if the socket of `epoch` is still in use. By
  // the socket always: such requests are heard in the order that they are sent in. False where it was not sent.
  bool post(std::span<const std::byte> request, std::uint64_t epoch);
  // The same, but the reply is kept for take(). What goes through the ring may overtake what went before it through the
  // socket, or the other way round: where it has to be heard after another one that was posted and is not answered yet,
  // it goes the way that one went, or, where that cannot be now, not at all. Returns the way; nullopt where it was not
  // sent.
  enum class Way : std::uint8_t { kRing, kSocket };
  std::optional<Way> post_and_keep(std::uint64_t sequence, std::span<const std::byte> request, std::uint64_t epoch,
                                   std::optional<Way> after = {});
  // The reply to a kept post of this epoch. A limit that passed drops nothing: it can be asked for again.
  Result take(std::uint64_t sequence, std::uint64_t epoch, const Limit& limit);

  // Sends the doorbell if there is room for it at once; where another thread is sending, that one does it afterwards. A
  // socket without room is no loss: the broker looks at the ring word after each message that it reads.
  void ring() noexcept;

  // In a forked child, which inherits the socket of its parent: closes this process's descriptor of it. The channel may
  // not be used any more, nor destroyed: its locks may be held by threads that did not come over.
  void close_in_child() noexcept;

  // Reads what has come, without waiting, and says whether the socket is still there.
  bool poll_alive();

 private:
  struct Waiter {
    std::optional<Frame> frame;
    ReceivedFile file;
    bool kept = false;  // nobody may be waiting
    std::condition_variable arrived;
  };
  // One socket in use, with its waiters and what was read of it so far.
  struct Line;
  using Held = std::unique_lock<std::mutex>;

  std::shared_ptr<Line> line() const;
  Result wait(const std::shared_ptr<Line>& line, std::uint64_t sequence, bool drop_when_late, const Limit& limit,
              Held& held);
  void read_for_all(Line& line, Limit::Clock::duration slice, Held& held);
  static bool ring_has_reply(Line& line, std::chrono::microseconds look);
  static bool sleep_and_read(Line& line, Limit::Clock::duration slice, Held& held);
  static void read_ring(Line& line);
  static void dispatch(Line& line);
  static void hand_to_waiter(Line& line, Frame frame, std::uint64_t sequence, ReceivedFile file);
  static void hand_over(Line& line);
  static void lose(Line& line);
  bool send(Line& line, std::span<const std::byte> frame, const Limit& limit, Held& held);
  bool try_ring(Line& line, std::span<const std::byte> frame, Held& held);
  bool send_by_socket(Line& line, std::span<const std::byte> frame, const Limit& limit, Held& held);
  bool write_to_socket(Line& line, std::span<const std::byte> frame, const Limit& limit);
  void serve_ring(Line& line) noexcept;

  const Frame ring_frame_;
  std::atomic<Socket*> socket_{nullptr};  // of line_; for close_in_child()
  mutable std::mutex mutex_;
  std::shared_ptr<Line> line_;
  std::uint64_t epochs_ = 0;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_CHANNEL_H_
