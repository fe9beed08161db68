#include "broker/name_watch.h"

#include <sys/inotify.h>

#include <algorithm>
#include <utility>

namespace tensorbroker::broker {

NameWatch::NameWatch(EventLoop& loop, std::function<void(bool)> look)
    : inotify_(loop, "a cleaner of /dev/shm would go unnoticed",
               [look = std::move(look)](std::span<const Inotify::Event> events) {
                 look(std::any_of(events.begin(), events.end(),
                                  [](const Inotify::Event& event) { return event.mask != IN_MODIFY; }));
               }) {}

// A file's name is an attribute: the number of its links.
void NameWatch::watch_file(const std::string& path, bool length) {
  watch(path, IN_ATTRIB | IN_MOVE_SELF | (length ? IN_MODIFY : 0U));
}

void NameWatch::watch_directory(const std::string& path) {
  watch(path, IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
}

void NameWatch::watch(const std::string& path, std::uint32_t events) {
  forget(path);
  if (const int watched = inotify_.add(path, events | IN_DONT_FOLLOW); watched >= 0) watches_.emplace(path, watched);
}

void NameWatch::forget(const std::string& path) {
  const auto at = watches_.find(path);
  if (at == watches_.end()) return;
  inotify_.remove(at->second);
  watches_.erase(at);
}

}  // namespace tensorbroker::broker
