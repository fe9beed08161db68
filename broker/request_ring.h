// The requests of one client that come through its session's command ring.
//
// It is heard in turns, like a connection, and what it sends is as little trusted: a frame is copied before it is
// looked at, and lengths or positions that no client writes cost it the connection. On the loop's thread.

#ifndef TENSORBROKER_BROKER_REQUEST_RING_H_
#define TENSORBROKER_BROKER_REQUEST_RING_H_

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/channel.h"
#include "broker/turns.h"
#include "proto/command_ring.h"

namespace tensorbroker::broker {

class RingWatch;

class RequestRing final : public TakesTurns, public std::enable_shared_from_this<RequestRing> {
 public:
  using Clock = std::chrono::steady_clock;

  // Begins behind what is there by now: it was written for a connection that is lost, and is repeated. `fail` closes
  // the connection, saying why. The turns and the watch must outlive the loop's run.
  RequestRing(const CommandRing& ring, pid_t process, Turns& turns, RingWatch& watch,
              std::shared_ptr<ChannelHandler> handler, std::function<void(const std::string&)> fail);

  // The client was heard by its socket: perhaps it has rung, and perhaps this is a burst, that goes on by the ring.
  void heard_by_socket();
  // Takes a turn, at once where nobody waits for one, if there is something to hear; whether there was.
  bool look_now();
  // The ring is not touched any more.
  void close() noexcept;

  // ---- for the watch
  bool is_closed() const noexcept { return handler_ == nullptr; }
  // Whether the client need not ring.
  bool is_watched() const noexcept { return watched_; }
  void begin_watch();
  // Whether the client says that it ran on this processor when it last rang.
  bool shares(unsigned processor) const noexcept { return reader_.writer_was_on(processor); }
  // False where something has come meanwhile.
  bool end_watch();
  Clock::time_point last_heard() const noexcept { return last_heard_; }

 private:
  void take_turn(Deadline ends) override;
  void look();
  void heard(Clock::time_point now);
  bool next_frame();
  bool has_work() const noexcept { return !frame_.empty() || reader_.has_more(); }

  RingReader reader_;
  const pid_t process_;
  Turns& turns_;
  RingWatch& watch_;
  std::shared_ptr<ChannelHandler> handler_;
  std::function<void(const std::string&)> fail_;
  std::vector<std::byte> frame_;  // that is being handled
  Clock::time_point last_heard_;
  unsigned in_a_row_ = 0;  // requests that followed each other at once
  bool asked_ = false;
  bool watched_ = false;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_REQUEST_RING_H_
