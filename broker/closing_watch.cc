#include "broker/closing_watch.h"

#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "proto/segment_name.h"

namespace tensorbroker::broker {

namespace asio = boost::asio;
using boost::system::error_code;

// Shared with the handler, which may run after the watch itself is gone.
struct ClosingWatch::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, int fd, std::function<void(std::uint64_t)> task)
      : descriptor(context, fd), closed(std::move(task)) {}

  void wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
      if (error || !self->descriptor.is_open()) return;
      const std::set<std::uint64_t> sessions = self->read_events();
      self->wait();
      for (const std::uint64_t session : sessions) self->closed(session);
    });
  }

  // Reads one lot: whoever opens and closes all the time keeps nobody from their turns.
  std::set<std::uint64_t> read_events() {
    std::set<std::uint64_t> sessions;
    alignas(inotify_event) std::array<std::byte, 16384> events;
    const ssize_t bytes = read(descriptor.native_handle(), events.data(), events.size());
    for (ssize_t at = 0; at < bytes;) {
      const auto* const event = reinterpret_cast<const inotify_event*>(events.data() + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      if ((event->mask & IN_Q_OVERFLOW) != 0) {
        for (const auto& [session, number] : numbers) sessions.insert(session);
      } else if (const auto found = session_of.find(event->wd); found != session_of.end()) {
        sessions.insert(found->second);
      }
    }
    return sessions;
  }

  asio::posix::stream_descriptor descriptor;
  const std::function<void(std::uint64_t)> closed;
  std::map<std::uint64_t, int> numbers;  // of its watch, by session
  std::map<int, std::uint64_t> session_of;
};

ClosingWatch::ClosingWatch(EventLoop& loop, std::function<void(std::uint64_t)> closed) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    spdlog::warn("a client that executes another program and keeps its connection is found late: no inotify: {}",
                 std::strerror(errno));
    return;
  }
  state_ = std::make_shared<State>(loop.context(), fd, std::move(closed));
  state_->wait();
}

ClosingWatch::~ClosingWatch() {
  error_code ignored;
  if (state_ != nullptr) state_->descriptor.close(ignored);
}

void ClosingWatch::watch(std::uint64_t session, const std::string& segment) {
  if (state_ == nullptr) return;
  const std::string path = std::string(kShmDirectory) + "/" + segment;
  const int number = inotify_add_watch(state_->descriptor.native_handle(), path.c_str(), IN_CLOSE_WRITE);
  if (number < 0) return spdlog::warn("{} is not watched: {}", path, std::strerror(errno));
  state_->numbers.emplace(session, number);
  state_->session_of.emplace(number, session);
}

void ClosingWatch::forget(std::uint64_t session) {
  if (state_ == nullptr) return;
  const auto at = state_->numbers.find(session);
  if (at == state_->numbers.end()) return;
  inotify_rm_watch(state_->descriptor.native_handle(), at->second);
  state_->session_of.erase(at->second);
  state_->numbers.erase(at);
}

}  // namespace tensorbroker::broker
