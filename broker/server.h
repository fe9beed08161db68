// The listening socket: accepts the clients that are served and hands each connection to a handler.
//
// A newcomer that is not served or beyond the limits, or beyond what this process has descriptors for (it keeps one for
// that), is told why and refused; nothing here ends the broker. On the loop's thread.

#ifndef TENSORBROKER_BROKER_SERVER_H_
#define TENSORBROKER_BROKER_SERVER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "broker/channel.h"
#include "broker/connection_quota.h"
#include "broker/event_loop.h"
#include "broker/peer.h"
#include "broker/ring_watch.h"
#include "broker/turns.h"

namespace tensorbroker::broker {

class Server {
 public:
  using MakeHandler = std::function<std::shared_ptr<ChannelHandler>(std::shared_ptr<Channel>)>;

  struct Limits {
    ConnectionLimits connections;
    std::chrono::milliseconds patience{0};  // with an unfinished handshake or message; 0: without end
  };

  // Binds `path` with mode 0600 (0660 where a group is served), over a stale socket that lies there: the caller holds
  // the instance's lock. The turns must outlive the loop's run. Throws Error where it cannot be bound, with the remedy.
  Server(EventLoop& loop, Turns& turns, RingWatch& rings, const std::string& path, const Served& served,
         const Limits& limits, MakeHandler make_handler);
  // Removes the socket's name.
  ~Server();

  // Closes the listening socket, and leaves its name to a successor.
  void abandon();

 private:
  struct Acceptor;
  std::shared_ptr<Acceptor> acceptor_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_SERVER_H_
