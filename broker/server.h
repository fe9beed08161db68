// The listening socket: accepts the clients of this user and hands each connection to a handler.
//
// Out of descriptors it refuses the newcomer, by a descriptor that it keeps for that, and goes on; nothing here ends
// the broker. On the loop's thread.

#ifndef TENSORBROKER_BROKER_SERVER_H_
#define TENSORBROKER_BROKER_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "broker/channel.h"
#include "broker/event_loop.h"

namespace tensorbroker::broker {

class Server {
 public:
  using MakeHandler = std::function<std::shared_ptr<ChannelHandler>(std::shared_ptr<Channel>)>;

  // Binds `path` with mode 0600, over a stale socket that lies there: the caller holds the instance's lock.
  // Throws Error where it cannot be bound, with the remedy.
  Server(EventLoop& loop, const std::string& path, MakeHandler make_handler);
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
