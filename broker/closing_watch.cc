#include "broker/closing_watch.h"

#include <sys/inotify.h>

#include <set>
#include <utility>

#include "proto/segment_name.h"

namespace tensorbroker::broker {

ClosingWatch::ClosingWatch(EventLoop& loop, std::function<void(std::uint64_t)> closed)
    : closed_(std::move(closed)),
      inotify_(loop, "a client that executes another program and keeps its connection is found late",
               [this](std::span<const Inotify::Event> events) { tell(events); }) {}

void ClosingWatch::tell(std::span<const Inotify::Event> events) {
  std::set<std::uint64_t> sessions;
  for (const Inotify::Event& event : events) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      for (const auto& [session, watch] : watches_) sessions.insert(session);
    } else if (const auto found = session_of_.find(event.watch); found != session_of_.end()) {
      sessions.insert(found->second);
    }
  }
  for (const std::uint64_t session : sessions) closed_(session);
}

void ClosingWatch::watch(std::uint64_t session, const std::string& segment) {
  const int watch = inotify_.add(std::string(kShmDirectory) + "/" + segment, IN_CLOSE_WRITE);
  if (watch < 0) return;
  watches_.emplace(session, watch);
  session_of_.emplace(watch, session);
}

void ClosingWatch::forget(std::uint64_t session) {
  const auto at = watches_.find(session);
  if (at == watches_.end()) return;
  inotify_.remove(at->second);
  session_of_.erase(at->second);
  watches_.erase(at);
}

}  // namespace tensorbroker::broker
