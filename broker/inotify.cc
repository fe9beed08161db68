#include "broker/inotify.h"

#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

namespace tensorbroker::broker {

namespace asio = boost::asio;
using boost::system::error_code;

// Shared with the handler, which may run after the object itself is gone.
struct Inotify::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, int fd, std::function<void(std::span<const Event>)> task)
      : descriptor(context, fd), tell(std::move(task)) {}

  void wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
      if (error || !self->descriptor.is_open()) return;
      const std::vector<Event> events = self->read_events();
      self->wait();
      if (!events.empty()) self->tell(events);
    });
  }

  std::vector<Event> read_events() {
    std::vector<Event> events;
    alignas(inotify_event) std::array<std::byte, 16384> buffer;
    const ssize_t bytes = read(descriptor.native_handle(), buffer.data(), buffer.size());
    for (ssize_t at = 0; at < bytes;) {
      const auto* const event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      events.push_back({event->wd, event->mask});
      at += static_cast<ssize_t>(sizeof *event + event->len);
    }
    return events;
  }

  asio::posix::stream_descriptor descriptor;
  const std::function<void(std::span<const Event>)> tell;
};

Inotify::Inotify(EventLoop& loop, std::string_view lost, std::function<void(std::span<const Event>)> tell)
    : lost_(lost) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) {
    spdlog::warn("{}: no inotify: {}", lost_, std::strerror(errno));
    return;
  }
  state_ = std::make_shared<State>(loop.context(), fd, std::move(tell));
  state_->wait();
}

Inotify::~Inotify() {
  error_code ignored;
  if (state_ != nullptr) state_->descriptor.close(ignored);
}

int Inotify::add(const std::string& path, std::uint32_t mask) {
  if (state_ == nullptr) return -1;
  const int watch = inotify_add_watch(state_->descriptor.native_handle(), path.c_str(), mask);
  if (watch < 0) spdlog::warn("{}: {} is not watched: {}", lost_, path, std::strerror(errno));
  return watch;
}

void Inotify::remove(int watch) {
  if (state_ != nullptr) inotify_rm_watch(state_->descriptor.native_handle(), watch);
}

}  // namespace tensorbroker::broker
