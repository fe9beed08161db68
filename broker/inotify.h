// One inotify descriptor on the loop: tells what happens to the files that are watched.
//
// Nothing wakes while nothing happens to them. On the loop's thread.

#ifndef TENSORBROKER_BROKER_INOTIFY_H_
#define TENSORBROKER_BROKER_INOTIFY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "broker/event_loop.h"

namespace tensorbroker::broker {

class Inotify {
 public:
  struct Event {
    int watch = -1;
    std::uint32_t mask = 0;  // of inotify(7); IN_Q_OVERFLOW: events were lost
  };

  // `tell` gets a lot of events at a time: whoever makes them all the time keeps nobody from their turns. Where there
  // is no descriptor to be had it is never called; the log says so, and `lost`, which is what does not work then.
  Inotify(EventLoop& loop, std::string_view lost, std::function<void(std::span<const Event>)> tell);
  Inotify(const Inotify&) = delete;
  Inotify& operator=(const Inotify&) = delete;
  ~Inotify();

  // The number of the watch; -1, with a line in the log, where there can be none.
  int add(const std::string& path, std::uint32_t mask);
  void remove(int watch);

 private:
  struct State;

  const std::string lost_;
  std::shared_ptr<State> state_;  // null: no inotify to be had
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_INOTIFY_H_
