// Tells when somebody has let go of a session's segment: the last mapping, or descriptor, of one opening of it is gone.
// The client's lock goes with the opening that it was taken by, a moment later.
//
// One inotify descriptor; where there is none to be had it never tells, and says so in the log. Nothing wakes while
// nobody lets go. On the loop's thread.

#ifndef TENSORBROKER_BROKER_CLOSING_WATCH_H_
#define TENSORBROKER_BROKER_CLOSING_WATCH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "broker/event_loop.h"

namespace tensorbroker::broker {

class ClosingWatch {
 public:
  // `closed`: called for a session whose segment somebody let go of; perhaps for nothing.
  ClosingWatch(EventLoop& loop, std::function<void(std::uint64_t session)> closed);
  ClosingWatch(const ClosingWatch&) = delete;
  ClosingWatch& operator=(const ClosingWatch&) = delete;
  ~ClosingWatch();

  void watch(std::uint64_t session, const std::string& segment);
  void forget(std::uint64_t session);

 private:
  struct State;

  std::shared_ptr<State> state_;  // null: no inotify to be had
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_CLOSING_WATCH_H_
