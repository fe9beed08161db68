#include "client/wait_service.h"

#include <pthread.h>

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "client/instance_waits.h"
#include "proto/blocked_signals.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

using Clock = Limit::Clock;

constexpr double kForEver = 1e9;  // seconds
// How long the thread stays without a wait: a loop over versions has none between two of them.
constexpr Clock::duration kLinger = std::chrono::seconds(1);
// Between two looks where the kernel cannot sleep on several words.
constexpr Clock::duration kPollSlice = std::chrono::milliseconds(10);

void start_thread(const std::function<void()>& body) {
  const BlockedSignals blocked;
  try {
    std::thread thread(body);
    pthread_setname_np(thread.native_handle(), "tb-waits");
    thread.detach();
  } catch (const std::system_error& error) {
    throw RuntimeError("cannot start the thread that serves waits (" + error.code().message() +
                       "); raise the limit of threads (ulimit -u)");
  }
}

// Never destroyed: its thread runs until the end of the process.
class WaitService {
 public:
  static WaitService& get() {
    static auto* service = new WaitService;
    return *service;
  }

  std::uint64_t add(Connection& connection, PendingWait wait);
  void cancel(WaitQueue& queue, std::uint64_t id);
  void nudge() noexcept;
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  void abandon_in_child() noexcept;

 private:
  void run();
  Clock::time_point serve_all();
  bool run_errands(std::unique_lock<std::mutex>& held);
  void sleep(std::unique_lock<std::mutex>& held, std::uint32_t nudges, Clock::time_point until);
  void list_words(std::uint32_t nudges);

  std::mutex mutex_;  // short: never held across anything that waits; guards what follows
  std::map<Connection*, InstanceWaits> groups_;
  std::uint64_t last_id_ = 0;
  bool running_ = false;
  bool can_sleep_on_many_ = true;
  std::vector<FutexCondition> words_;  // the thread's own

  Word nudges_{0};
  std::atomic<bool> asleep_{false};
};

// ---------------------------------------------------------------- for everybody

std::uint64_t WaitService::add(Connection& connection, PendingWait wait) {
  const std::lock_guard held(mutex_);
  if (!running_) {
    start_thread([this] { run(); });
    running_ = true;
  }
  groups_[&connection].add(++last_id_, std::move(wait));
  nudge();
  return last_id_;
}

void WaitService::cancel(WaitQueue& queue, std::uint64_t id) {
  {
    const std::lock_guard held(mutex_);
    for (auto& [connection, group] : groups_) {
      if (!group.cancel(id)) continue;
      nudge();
      return;
    }
  }
  queue.drop(id);
}

// Either the thread sees the new value where it would fall asleep, or it is seen to be asleep.
void WaitService::nudge() noexcept {
  nudges_.fetch_add(1, std::memory_order_seq_cst);
  if (asleep_.load(std::memory_order_seq_cst)) futex_wake_all(nudges_);
}

void WaitService::abandon_in_child() noexcept {
  for (auto& [connection, group] : groups_) group.abandon();
  groups_.clear();
  running_ = false;
  asleep_.store(false);
  mutex_.unlock();
}

// ---------------------------------------------------------------- the thread

void WaitService::run() {
  std::unique_lock held(mutex_);
  Clock::time_point last_wait = Clock::now();
  for (;;) {
    const std::uint32_t nudges = futex_value(nudges_);
    Clock::time_point until = serve_all();
    if (run_errands(held)) continue;
    if (!groups_.empty()) {
      last_wait = Clock::now();
    } else {
      until = last_wait + kLinger;
      if (Clock::now() >= until) break;
    }
    sleep(held, nudges, until);
  }
  running_ = false;
}

// Returns when the next round is due, whatever the words say.
Clock::time_point WaitService::serve_all() {
  Clock::time_point due = Clock::time_point::max();
  for (auto& [connection, group] : groups_) due = std::min(due, group.serve());
  std::erase_if(groups_, [](const auto& group) { return group.second.is_empty(); });
  return due;
}

// One for each instance at most. Only this thread takes groups away: a reference lasts while the lock is given up.
bool WaitService::run_errands(std::unique_lock<std::mutex>& held) {
  bool any = false;
  for (auto& [connection, group] : groups_) {
    std::optional<WaitErrand> errand = group.next_errand();
    if (!errand) continue;
    any = true;
    held.unlock();
    InstanceWaits::run(*errand);
    held.lock();
    group.settle(*std::move(errand));
  }
  return any;
}

void WaitService::sleep(std::unique_lock<std::mutex>& held, std::uint32_t nudges, Clock::time_point until) {
  list_words(nudges);
  asleep_.store(true, std::memory_order_seq_cst);
  held.unlock();
  const auto limit = std::max(until - Clock::now(), Clock::duration::zero());
  const bool slept = words_.size() <= kFutexConditionsLimit && futex_wait_any(words_, limit);
  if (!slept) futex_wait(*words_.back().word, words_.back().seen, std::min(limit, kPollSlice));
  asleep_.store(false, std::memory_order_seq_cst);
  held.lock();
  can_sleep_on_many_ = slept || words_.size() > kFutexConditionsLimit;
}

// Two waits may have seen different values of one word: then both stand there, and nobody sleeps.
void WaitService::list_words(std::uint32_t nudges) {
  const auto order = [](const FutexCondition& word) { return std::tuple(word.word, word.seen); };
  words_.clear();
  if (can_sleep_on_many_) {
    for (const auto& [connection, group] : groups_) group.list_words(&words_);
    std::ranges::sort(words_, {}, order);
    const auto repeated = std::ranges::unique(words_, {}, order);
    words_.erase(repeated.begin(), repeated.end());
  }
  if (!can_sleep_on_many_ || words_.size() >= kFutexConditionsLimit) {
    words_.clear();
    for (const auto& [connection, group] : groups_) group.list_catalog(&words_);
  }
  words_.insert(words_.begin(), {&nudges_, nudges});
}

}  // namespace

std::uint64_t start_wait(const std::shared_ptr<WaitQueue>& queue, const Client& client, std::string_view name,
                         std::uint64_t newer_than, Client::Timeout timeout) {
  check_name(name);
  const Client::Impl::Use connection(*client.impl());
  return WaitService::get().add(*connection,
                                {.client = client.impl(),
                                 .queue = queue,
                                 .name = std::string(name),
                                 .hash = hash_name(name),
                                 .newer_than = newer_than,
                                 .limit = Limit::in(timeout.value_or(std::chrono::duration<double>(kForEver)))});
}

void cancel_wait(WaitQueue& queue, std::uint64_t id) { WaitService::get().cancel(queue, id); }

void nudge_wait_service() noexcept { WaitService::get().nudge(); }

void lock_wait_service() noexcept { WaitService::get().lock(); }
void unlock_wait_service() noexcept { WaitService::get().unlock(); }
void renew_wait_service_in_child() noexcept { WaitService::get().abandon_in_child(); }

}  // namespace tensorbroker
