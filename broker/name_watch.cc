#include "broker/name_watch.h"

#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tensorbroker::broker {

namespace asio = boost::asio;
using boost::system::error_code;

// Shared with the handler, which may run after the watch itself is gone.
struct NameWatch::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, int fd, std::function<void(bool)> task)
      : descriptor(context, fd), look(std::move(task)) {}

  void wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
      if (error || !self->descriptor.is_open()) return;
      const bool names = self->read_events();
      self->wait();
      self->look(names);
    });
  }

  // Whether any is about a name.
  bool read_events() {
    bool names = false;
    alignas(inotify_event) std::array<char, 4096> events{};
    ssize_t bytes = 0;
    while ((bytes = read(descriptor.native_handle(), events.data(), events.size())) > 0) {
      for (ssize_t at = 0; at < bytes;) {
        const auto* event = reinterpret_cast<const inotify_event*>(events.data() + at);
        names = names || event->mask != IN_MODIFY;
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
    }
    return names;
  }

  asio::posix::stream_descriptor descriptor;
  const std::function<void(bool)> look;
};

NameWatch::NameWatch(EventLoop& loop, std::function<void(bool)> look) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    spdlog::warn("a cleaner of /dev/shm would go unnoticed: no inotify: {}", std::strerror(errno));
  } else {
    state_ = std::make_shared<State>(loop.context(), fd, std::move(look));
    state_->wait();
  }
}

NameWatch::~NameWatch() {
  error_code ignored;
  if (state_ != nullptr) state_->descriptor.close(ignored);
}

// A file's name is an attribute: the number of its links.
void NameWatch::watch_file(const std::string& path, bool length) {
  watch(path, IN_ATTRIB | IN_MOVE_SELF | (length ? IN_MODIFY : 0U));
}

void NameWatch::watch_directory(const std::string& path) {
  watch(path, IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
}

void NameWatch::watch(const std::string& path, std::uint32_t events) {
  if (state_ == nullptr) return;
  forget(path);
  const int watched = inotify_add_watch(state_->descriptor.native_handle(), path.c_str(), events | IN_DONT_FOLLOW);
  if (watched < 0) return spdlog::warn("the removal of {} would go unnoticed: {}", path, std::strerror(errno));
  watches_.emplace(path, watched);
}

void NameWatch::forget(const std::string& path) {
  const auto at = watches_.find(path);
  if (at == watches_.end()) return;
  inotify_rm_watch(state_->descriptor.native_handle(), at->second);
  watches_.erase(at);
}

}  // namespace tensorbroker::broker
