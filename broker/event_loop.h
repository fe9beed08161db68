// The broker's single thread: Boost.Asio's io_context, behind an interface that keeps its headers out of the rest.
//
// Everything runs on the thread that calls run(), except post(), which any thread may call. A loop with nothing to do
// sleeps: it makes no wake-ups of its own.

#ifndef TENSORBROKER_BROKER_EVENT_LOOP_H_
#define TENSORBROKER_BROKER_EVENT_LOOP_H_

#include <chrono>
#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace tensorbroker::broker {

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();

  // Runs until stop(). An exception of a task ends it.
  void run();
  void stop();

  // Has `task` run by the loop, soon.
  void post(std::function<void()> task);

  // Calls `task` for each SIGTERM, SIGINT and SIGHUP from now on.
  void on_end_signal(std::function<void(int)> task);

  boost::asio::io_context& context() noexcept { return *context_; }

 private:
  struct Signals;

  std::unique_ptr<boost::asio::io_context> context_;
  std::unique_ptr<Signals> signals_;
};

// Calls a task once after a delay. At most one is waiting; dropping the timer drops it.
class Timer {
 public:
  explicit Timer(EventLoop& loop);
  ~Timer();

  bool running() const noexcept;
  // Replaces what was waiting.
  void start(std::chrono::milliseconds delay, std::function<void()> task);
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Calls a task once when a descriptor becomes readable. Owns the descriptor.
class ReadableWatch {
 public:
  // Throws std::exception, having closed the descriptor, where the kernel has no room to watch it.
  ReadableWatch(EventLoop& loop, int fd, std::function<void()> task);
  ReadableWatch(const ReadableWatch&) = delete;
  ReadableWatch& operator=(const ReadableWatch&) = delete;
  ~ReadableWatch();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_EVENT_LOOP_H_
