#include "broker/page_worker.h"

#include <utility>

#include "proto/blocked_signals.h"

namespace tensorbroker::broker {

PageWorker::PageWorker(EventLoop& loop, const ArenaFile& arena) : jobs_(loop, arena) {
  const BlockedSignals blocked;  // they belong to the loop's thread
  thread_ = std::thread([this] { work(); });
}

PageWorker::~PageWorker() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void PageWorker::reserve(std::vector<Range> punch, std::vector<Range> reserve, std::function<void(int)> done) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.reserve(std::move(punch), std::move(reserve), std::move(done));
  }
  changed_.notify_one();
}

void PageWorker::punch(std::vector<Range> ranges, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.punch(std::move(ranges), std::move(done));
  }
  changed_.notify_one();
}

void PageWorker::prepare(const Range& range, std::function<void(int)> done) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.prepare(range, std::move(done));
  }
  changed_.notify_one();
}

void PageWorker::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
    if (ending_) return;
    lock.unlock();
    jobs_.work();
    lock.lock();
  }
}

}  // namespace tensorbroker::broker
