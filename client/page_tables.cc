#include "client/page_tables.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>
#include <utility>

#include "proto/blocked_signals.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22  // Linux 5.14; an older one refuses it
#endif

namespace tensorbroker {
struct PageTables::Work {
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  std::function<bool()> is_wanted;
  pid_t process = 0;
  std::atomic<bool> is_stopped{false};
  std::atomic<bool> is_done{false};
};

PageTables::~PageTables() {
  while (!works_.empty()) stop(works_.begin()->second->data);
}

// Reading is enough: the entries of a shared mapping of tmpfs can be written through, and the kernel makes sixteen at a
// time for a read where it makes one for a write.
void PageTables::run(Work& work) noexcept {
  for (std::uint64_t at = 0; at < work.bytes && !work.is_stopped.load() && work.is_wanted(); at += kPieceBytes) {
    if (madvise(work.data + at, std::min(kPieceBytes, work.bytes - at), MADV_POPULATE_READ) != 0) break;
  }
  work.is_done.store(true);
  work.is_done.notify_all();
}

void PageTables::start(std::byte* data, std::uint64_t bytes, std::function<bool()> is_wanted) noexcept {
  if (bytes < kLeastBytes) return;
  const pid_t process = getpid();
  std::erase_if(works_,
                [&](const auto& work) { return work.second->is_done.load() || work.second->process != process; });
  if (works_.size() >= kMostThreads) return;
  const BlockedSignals blocked;
  try {
    auto work = std::make_shared<Work>();
    work->data = data;
    work->bytes = bytes;
    work->is_wanted = std::move(is_wanted);
    work->process = process;
    works_[data] = work;
    std::thread([work] { run(*work); }).detach();
  } catch (const std::exception&) {  // it can be written to without
    works_.erase(data);
  }
}

void PageTables::stop(std::byte* data) noexcept {
  const auto at = works_.find(data);
  if (at == works_.end()) return;
  const std::shared_ptr<Work> work = std::move(at->second);
  works_.erase(at);
  work->is_stopped.store(true);
  if (work->process == getpid()) work->is_done.wait(false);
}

}  // namespace tensorbroker
