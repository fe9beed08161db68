#include "client/fork.h"

#include <pthread.h>

#include <atomic>

#include "client/attachment.h"
#include "client/received_file.h"
#include "client/registry.h"
#include "client/wait_service.h"

namespace tensorbroker {
namespace {

std::atomic<std::uint64_t> forks{0};

// Made anew in the child: the one that forked owns the parent's, by a thread id that is not the child's.
std::recursive_mutex*& fork_mutex() {
  static auto* mutex = new std::recursive_mutex;
  return mutex;
}

void prepare() {
  fork_mutex()->lock();
  lock_wait_service();
  lock_registry();
  for_each_attachment([](Attachment& attachment) { attachment.before_fork(); });
  for_each_attachment([](Attachment& attachment) { attachment.lock_for_fork(); });
  lock_received_files();
}

void in_parent() {
  unlock_received_files();
  for_each_attachment([](Attachment& attachment) { attachment.after_fork_in_parent(); });
  unlock_registry();
  unlock_wait_service();
  fork_mutex()->unlock();
}

void in_child() {
  forks.fetch_add(1, std::memory_order_relaxed);
  close_received_files_in_child();
  unlock_received_files();
  for_each_attachment([](Attachment& attachment) { attachment.after_fork_in_child(); });
  renew_registry_locks_in_child();
  unlock_registry();
  fork_mutex() = new std::recursive_mutex;
  renew_wait_service_in_child();
}

}  // namespace

void install_fork_handlers() {
  static const int installed = pthread_atfork(prepare, in_parent, in_child);
  static_cast<void>(installed);
}

std::uint64_t forks_so_far() noexcept { return forks.load(std::memory_order_relaxed); }

std::unique_lock<std::recursive_mutex> hold_fork() { return std::unique_lock(*fork_mutex()); }

}  // namespace tensorbroker
