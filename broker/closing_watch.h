// Tells when somebody has let go of a session's segment: the last mapping, or descriptor, of one opening of it is gone.
// The client's lock goes with the opening that it was taken by, a moment later.
//
// Where there is no inotify it never tells. On the loop's thread.

#ifndef TENSORBROKER_BROKER_CLOSING_WATCH_H_
#define TENSORBROKER_BROKER_CLOSING_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "broker/inotify.h"

namespace tensorbroker::broker {

class ClosingWatch {
 public:
  // `closed`: called for a session whose segment somebody let go of; perhaps for nothing.
  ClosingWatch(EventLoop& loop, std::function<void(std::uint64_t session)> closed);
  ClosingWatch(const ClosingWatch&) = delete;
  ClosingWatch& operator=(const ClosingWatch&) = delete;
  ~ClosingWatch() = default;

  void watch(std::uint64_t session, const std::string& segment);
  void forget(std::uint64_t session);

 private:
  void tell(std::span<const Inotify::Event> events);

  const std::function<void(std::uint64_t)> closed_;
  std::map<std::uint64_t, int> watches_;  // by session
  std::map<int, std::uint64_t> session_of_;
  Inotify inotify_;  // goes first
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_CLOSING_WATCH_H_
