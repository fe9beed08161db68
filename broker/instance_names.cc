#include "broker/instance_names.h"

#include <spdlog/spdlog.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "proto/runtime_dir.h"
#include "proto/segment.h"

namespace tensorbroker::broker {
namespace {

constexpr std::chrono::milliseconds kAgain{200};

std::string path_of(const std::string& segment) { return std::string(kShmDirectory) + "/" + segment; }

}  // namespace

InstanceNames::InstanceNames(EventLoop& loop, const Place& place, InstanceLock& lock, Actions actions)
    : place_(place),
      lock_(lock),
      actions_(std::move(actions)),
      watch_(loop, [this](bool names) { look(names ? Look::kNames : Look::kSizes); }),
      again_(loop) {}

void InstanceNames::start(const std::string& catalog, const std::string& arena) {
  started_ = true;
  watch_.watch_file(path_of(catalog), true);
  watch_.watch_file(path_of(arena), true);
  watch_places();
}

void InstanceNames::watch_places() {
  watch_.watch_file(place_.name.lock_path());
  watch_.watch_directory(place_.runtime_dir);
}

void InstanceNames::add_session(const SessionSegment& session) { watch_.watch_file(path_of(session.segment().name())); }

void InstanceNames::forget_session(const SessionSegment& session) { watch_.forget(path_of(session.segment().name())); }

void InstanceNames::look(Look look) {
  if (!started_ || ended_) return;
  if (const std::string lost = actions_.what_is_lost(look); !lost.empty()) {
    ended_ = true;
    spdlog::error(
        "{}: the instance ends, and readers keep what is left of what they hold; keep cleaners and other programs away "
        "from /dev/shm/tensorbroker.*",
        lost);
    return actions_.end_instance();
  }
  if (look == Look::kSizes) return;
  const bool lock_kept = keep_lock();
  const bool socket_kept = keep_socket();
  if (!lock_kept || !socket_kept) again_.start(kAgain, [this] { this->look(Look::kNames); });
}

// False: to be tried again.
bool InstanceNames::keep_lock() {
  if (lock_.still_named()) return true;
  LockRecord holder;
  try {
    auto taken = InstanceLock::acquire(place_.name, {getpid(), place_.runtime_dir}, &holder);
    if (!taken) return false;  // a would-be successor, which cannot adopt a catalog that this broker has locked
    lock_ = std::move(*taken);
  } catch (const Error& error) {
    spdlog::error("the lock of this instance was removed, and cannot be made again: {}", error.what());
    return false;
  }
  spdlog::warn("the lock of this instance was removed; it was taken anew");
  watch_places();
  return true;
}

bool InstanceNames::keep_socket() {
  if (access(place_.socket.c_str(), F_OK) == 0) return true;
  try {
    prepare_runtime_dir(place_.runtime_dir);
    actions_.listen();
  } catch (const Error& error) {
    spdlog::error("the socket of this instance was removed, and cannot be made again: {}", error.what());
    return false;
  }
  spdlog::warn("the socket of this instance was removed; it was bound anew");
  watch_places();
  return true;
}

}  // namespace tensorbroker::broker
