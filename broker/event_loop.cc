#include "broker/event_loop.h"

#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <utility>

namespace tensorbroker::broker {

namespace asio = boost::asio;
using boost::system::error_code;

struct EventLoop::Signals {
  explicit Signals(asio::io_context& context) : set(context, SIGTERM, SIGINT, SIGHUP) {}

  // Without the set a second signal would cut short what is left of the end.
  ~Signals() {
    sigset_t ends;
    sigemptyset(&ends);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ends, signal);
    pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  void wait() {
    set.async_wait([this](error_code error, int signal) {
      if (error) return;
      wait();
      task(signal);
    });
  }

  asio::signal_set set;
  std::function<void(int)> task;
};

EventLoop::EventLoop() : context_(std::make_unique<asio::io_context>(1)) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
  const auto work = asio::make_work_guard(*context_);
  context_->run();
}

void EventLoop::stop() { context_->stop(); }

void EventLoop::post(std::function<void()> task) { asio::post(*context_, std::move(task)); }

void EventLoop::on_end_signal(std::function<void(int)> task) {
  signals_ = std::make_unique<Signals>(*context_);
  signals_->task = std::move(task);
  signals_->wait();
}

// Shared with the handler, which may run after the timer itself is gone.
struct Timer::State {
  explicit State(asio::io_context& context) : timer(context) {}

  asio::steady_timer timer;
  std::uint64_t round = 0;  // tells a handler that was replaced after it was queued
  bool running = false;
};

Timer::Timer(EventLoop& loop) : state_(std::make_shared<State>(loop.context())) {}
Timer::~Timer() { stop(); }

bool Timer::running() const noexcept { return state_->running; }

void Timer::start(std::chrono::milliseconds delay, std::function<void()> task) {
  const std::uint64_t round = ++state_->round;
  state_->running = true;
  state_->timer.expires_after(delay);
  state_->timer.async_wait([state = state_, round, task = std::move(task)](error_code error) {
    if (error || round != state->round) return;
    state->running = false;
    task();
  });
}

void Timer::stop() {
  ++state_->round;
  state_->running = false;
  state_->timer.cancel();
}

struct ReadableWatch::State {
  State(asio::io_context& context, int fd) : descriptor(context) {
    try {
      descriptor.assign(fd);
    } catch (...) {
      close(fd);
      throw;
    }
  }

  asio::posix::stream_descriptor descriptor;
  bool dropped = false;
};

ReadableWatch::ReadableWatch(EventLoop& loop, int fd, std::function<void()> task)
    : state_(std::make_shared<State>(loop.context(), fd)) {
  state_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                [state = state_, task = std::move(task)](error_code error) {
                                  if (!error && !state->dropped) task();
                                });
}

ReadableWatch::~ReadableWatch() {
  state_->dropped = true;
  error_code ignored;
  state_->descriptor.close(ignored);
}

}  // namespace tensorbroker::broker
