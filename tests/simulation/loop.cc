// Here EventLoop, Timer, ReadableWatch, Inotify and PageWorker are defined without epoll and without a thread: in this
// program the linker takes these, and not those of the broker's library.

#include "tests/simulation/loop.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <utility>
#include <vector>

#include "broker/event_loop.h"
#include "broker/inotify.h"
#include "broker/page_worker.h"
#include "tests/simulation/kernel.h"

namespace tensorbroker::simulation {
namespace {

broker::PageJobs* jobs_of_worker = nullptr;

}  // namespace

LoopWork& LoopWork::get() {
  static LoopWork& work = *new LoopWork;  // a loop may end after it
  return work;
}

std::uint64_t LoopWork::add(Waiting waiting) {
  waiting_.emplace(++last_id_, std::move(waiting));
  return last_id_;
}

std::uint64_t LoopWork::add_task(std::function<void()> task) { return add({.task = std::move(task)}); }

std::uint64_t LoopWork::add_timer(std::uint64_t due_ns, std::function<void()> task) {
  return add({.kind = Kind::kTimer, .due_ns = due_ns, .task = std::move(task)});
}

std::uint64_t LoopWork::add_watch(int fd, std::function<void()> task) {
  return add({.kind = Kind::kWatch, .fd = fd, .task = std::move(task)});
}

bool LoopWork::has(Kind kind) const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [kind](const auto& waiting) { return waiting.second.kind == kind; });
}

bool LoopWork::has_tasks() const { return has(Kind::kTask); }
bool LoopWork::has_timers() const { return has(Kind::kTimer); }

bool LoopWork::is_due(const Waiting& waiting) const {
  const Kernel& kernel = *Kernel::current();
  if (waiting.kind == Kind::kTimer) return waiting.due_ns <= kernel.now_ns;
  return waiting.kind == Kind::kTask || kernel.is_readable(waiting.fd);
}

bool LoopWork::run_one(Random& random) {
  std::vector<std::uint64_t> due;
  bool has_task = false;
  for (const auto& [id, waiting] : waiting_) {
    if (!is_due(waiting) || (waiting.kind == Kind::kTask && std::exchange(has_task, true))) continue;
    due.push_back(id);
  }
  if (due.empty()) return false;
  const auto chosen = waiting_.extract(random.pick(due));
  chosen.mapped().task();
  return true;
}

broker::PageJobs* page_jobs() { return jobs_of_worker; }

}  // namespace tensorbroker::simulation

namespace tensorbroker::broker {

using simulation::Kernel;
using simulation::LoopWork;

struct EventLoop::Signals {};

EventLoop::EventLoop() = default;
EventLoop::~EventLoop() { LoopWork::get().clear(); }
void EventLoop::post(std::function<void()> task) { LoopWork::get().add_task(std::move(task)); }

struct Timer::State {
  std::uint64_t id = 0;
  bool running = false;
};

Timer::Timer(EventLoop& /*loop*/) : state_(std::make_shared<State>()) {}
Timer::~Timer() { stop(); }

bool Timer::running() const noexcept { return state_->running; }

void Timer::start(std::chrono::milliseconds delay, std::function<void()> task) {
  stop();
  const std::uint64_t due = Kernel::current()->now_ns + static_cast<std::uint64_t>(delay.count()) * 1'000'000;
  state_->running = true;
  state_->id = LoopWork::get().add_timer(due, [state = state_, task = std::move(task)] {
    state->running = false;
    task();
  });
}

void Timer::stop() {
  LoopWork::get().cancel(state_->id);
  state_->running = false;
}

struct ReadableWatch::State {
  int fd = -1;
  std::uint64_t id = 0;
};

ReadableWatch::ReadableWatch(EventLoop& /*loop*/, int fd, std::function<void()> task)
    : state_(std::make_shared<State>(State{fd, LoopWork::get().add_watch(fd, std::move(task))})) {}

ReadableWatch::~ReadableWatch() {
  LoopWork::get().cancel(state_->id);
  close(state_->fd);
}

// As where there is none to be had: nobody is told.
struct Inotify::State {
  std::function<void(std::span<const Event>)> tell;
};
Inotify::Inotify(EventLoop& /*loop*/, std::string_view lost, std::function<void(std::span<const Event>)> tell)
    : lost_(lost), state_(std::make_shared<State>(State{std::move(tell)})) {}
Inotify::~Inotify() = default;
int Inotify::add(const std::string& /*path*/, std::uint32_t /*mask*/) { return -1; }
void Inotify::remove(int /*watch*/) {}

PageWorker::PageWorker(EventLoop& loop, const ArenaFile& arena) : jobs_(loop, arena) {
  simulation::jobs_of_worker = &jobs_;
}

PageWorker::~PageWorker() { simulation::jobs_of_worker = nullptr; }

void PageWorker::reserve(std::vector<Range> punch, std::vector<Range> reserve, std::function<void(int)> done) {
  jobs_.reserve(std::move(punch), std::move(reserve), std::move(done));
}

void PageWorker::punch(std::vector<Range> ranges, std::function<void()> done) {
  jobs_.punch(std::move(ranges), std::move(done));
}

void PageWorker::prepare(const Range& range, std::function<void(int)> done) { jobs_.prepare(range, std::move(done)); }

}  // namespace tensorbroker::broker
