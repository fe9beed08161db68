#include "broker/name_watch.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tensorbroker::broker {

NameWatch::NameWatch(EventLoop& loop, std::function<void()> look)
    : loop_(loop), look_(std::move(look)), fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (fd_ >= 0) {
    wait();
  } else {
    spdlog::warn("a cleaner of /dev/shm would go unnoticed: no inotify: {}", std::strerror(errno));
  }
}

NameWatch::~NameWatch() {
  readable_.reset();
  if (fd_ >= 0) close(fd_);
}

// A file's name is an attribute: the number of its links.
void NameWatch::watch_file(const std::string& path) { watch(path, IN_ATTRIB | IN_MOVE_SELF); }

void NameWatch::watch_directory(const std::string& path) {
  watch(path, IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
}

void NameWatch::watch(const std::string& path, std::uint32_t events) {
  if (fd_ < 0) return;
  forget(path);
  const int watched = inotify_add_watch(fd_, path.c_str(), events | IN_DONT_FOLLOW);
  if (watched < 0) return spdlog::warn("the removal of {} would go unnoticed: {}", path, std::strerror(errno));
  watches_.emplace(path, watched);
}

void NameWatch::forget(const std::string& path) {
  const auto at = watches_.find(path);
  if (at == watches_.end()) return;
  inotify_rm_watch(fd_, at->second);
  watches_.erase(at);
}

void NameWatch::wait() {
  const int readable = fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (readable < 0) return spdlog::warn("a cleaner of /dev/shm would go unnoticed: {}", std::strerror(errno));
  readable_ = std::make_unique<ReadableWatch>(loop_, readable, [this] {
    std::array<std::byte, 4096> events{};
    while (read(fd_, events.data(), events.size()) > 0) {
    }
    wait();
    look_();
  });
}

}  // namespace tensorbroker::broker
