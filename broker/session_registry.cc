#include "broker/session_registry.h"

#include <spdlog/spdlog.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "broker/log.h"
#include "broker/peer.h"

namespace tensorbroker::broker {
namespace {

constexpr std::size_t kMaxHeirs = 8;  // one is in use, unless forks overlap
constexpr std::chrono::milliseconds kFirstLook{2};
constexpr std::chrono::milliseconds kLooks{1000};
constexpr std::chrono::milliseconds kClosedLooks{100};  // until then somebody's letting go of a segment is looked at
constexpr std::chrono::milliseconds kBetweenLooksAtAll{10};

}  // namespace

SessionRegistry::SessionRegistry(EventLoop& loop, Store& store, const TruncatedSessions& truncated,
                                 std::function<void()> on_change)
    : loop_(loop),
      store_(store),
      truncated_(truncated),
      on_change_(std::move(on_change)),
      closings_(loop, [this](std::uint64_t session) { somebody_closed(session); }),
      timer_(loop) {}

SessionRegistry::Watched& SessionRegistry::watch(std::uint64_t session) {
  Watched& watched =
      watched_.emplace(session, Watched{Liveness(store_.name(), session), nullptr, nullptr}).first->second;
  closings_.watch(session, store_.name().segment(SegmentKind::kSession, session));
  return watched;
}

void SessionRegistry::adopt_all() {
  for (const std::uint64_t session : store_.sessions()) {
    Watched& watched = watch(session);
    if (heir_in_waiting(session)) continue;
    watched.awaited = true;
    suspect(watched);
  }
}

std::uint64_t SessionRegistry::add(uid_t uid, pid_t pid) {
  const std::uint64_t session = store_.add_session(uid, pid);
  watch_new(session);
  return session;
}

// One that cannot be watched is not to stay: nobody would see its end.
void SessionRegistry::watch_new(std::uint64_t session) {
  try {
    watch(session);
  } catch (...) {
    store_.remove_session(session);
    throw;
  }
}

std::uint64_t SessionRegistry::add_heir(std::uint64_t parent) {
  const SessionInfo info = store_.session_info(parent);
  if (store_.heirs_of(parent).size() >= kMaxHeirs) {
    log_refusal("session " + std::to_string(parent) + " gets no heir: it has " + std::to_string(kMaxHeirs) +
                " that no child took over");
    return 0;
  }
  try {
    const std::uint64_t heir = store_.add_session(info.uid, info.pid, parent);
    watch_new(heir);
    return heir;
  } catch (const Error& e) {
    log_refusal("session " + std::to_string(parent) + " gets no heir: " + e.what());
    return 0;
  }
}

void SessionRegistry::settle_heirs(std::uint64_t parent, std::uint64_t used) {
  for (const std::uint64_t heir : store_.heirs_of(parent)) {
    if (heir == used) {
      store_.promote_heir(heir, 0);
      suspect(watched_.at(heir));
    } else if (!alive(heir)) {
      remove(heir, "its parent has no use for it");
    }
  }
}

bool SessionRegistry::alive(std::uint64_t session) {
  Watched& watched = watched_.at(session);
  const bool found = watched.liveness.alive();
  watched.seen_alive = watched.seen_alive || found;
  return found;
}

void SessionRegistry::check_claim(std::uint64_t session, const Channel& channel) {
  const SessionInfo info = store_.session_info(session);
  const auto refuse = [&](const std::string& whose) {
    throw InvalidArgumentError("session " + std::to_string(session) + " is that of " + whose + ", not of pid " +
                               std::to_string(channel.peer().pid) + " that says it is; attach as a new one");
  };
  if (are_different_processes(info.process, channel.peer().process)) refuse("pid " + std::to_string(info.pid));
  if (info.process != 0 || info.origin == 0) return;
  // Once its parent's lock is gone, the child may have another parent by now.
  if (is_no_child_of(channel.peer().pid,
                     store_.has_session(info.origin) ? store_.session_info(info.origin).process : 0) &&
      alive(info.origin)) {
    refuse("a child of session " + std::to_string(info.origin));
  }
}

void SessionRegistry::connect(std::uint64_t session, Channel& channel) {
  Watched& watched = watched_.at(session);
  if (watched.channel != nullptr && watched.channel != &channel) {
    std::exchange(watched.channel, nullptr)->close("its session has connected anew");
  }
  watched.channel = &channel;
  watched.suspect = false;
  watched.awaited = false;
  store_.identify(session, channel.peer().process);
  watch_process(session, watched, channel.peer().pid);
}

void SessionRegistry::watch_process(std::uint64_t session, Watched& watched, pid_t pid) {
  watched.process.reset();
  const int fd = pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, pid, 0)) : -1;
  if (fd < 0) return;  // a closed connection prompts the look then
  try {
    watched.process = std::make_unique<ReadableWatch>(loop_, fd, [this, session] {
      if (const auto found = watched_.find(session); found != watched_.end()) suspect(found->second);
    });
  } catch (const std::exception& e) {
    spdlog::warn("the process of session {} (pid {}) is not watched: {}", session, pid, e.what());
  }
}

void SessionRegistry::disconnect(std::uint64_t session, const Channel& channel) {
  const auto found = watched_.find(session);
  if (found == watched_.end() || found->second.channel != &channel) return;
  found->second.channel = nullptr;
  suspect(found->second);
}

void SessionRegistry::suspect(Watched& watched) {
  watched.suspect = true;
  look_soon();
}

void SessionRegistry::somebody_closed(std::uint64_t session) {
  const auto found = watched_.find(session);
  if (found == watched_.end() || !found->second.seen_alive || heir_in_waiting(session)) return;
  found->second.closed = true;
  look_soon();
}

void SessionRegistry::look_soon() {
  if (timer_.running() && delay_ <= kFirstLook) return;
  delay_ = kFirstLook;
  timer_.start(delay_, [this] { look(); });
}

void SessionRegistry::look() {
  std::vector<std::uint64_t> suspects;
  for (const auto& [session, watched] : watched_) {
    if (watched.suspect || watched.closed) suspects.push_back(session);
  }
  delay_ = std::min(delay_ * 2, kLooks);
  bool removed = false;
  for (const std::uint64_t session : suspects) removed |= has(session) && look_at(session);
  if (delay_ > kClosedLooks) {
    for (auto& [session, watched] : watched_) watched.closed = false;
  }
  const auto any = [this](bool Watched::* flag) {
    return std::any_of(watched_.begin(), watched_.end(), [flag](const auto& entry) { return entry.second.*flag; });
  };
  const bool awaiting = any(&Watched::awaited);
  if (awaiting) store_.reclaim();
  if ((any(&Watched::suspect) || any(&Watched::closed)) && !timer_.running()) timer_.start(delay_, [this] { look(); });
  if (removed || awaiting) on_change_();
}

bool SessionRegistry::look_at(std::uint64_t session) {
  if (alive(session)) return false;
  remove(session, "its process has ended, or executed another program");
  return true;
}

void SessionRegistry::remove(std::uint64_t session, const char* why) {
  auto node = watched_.extract(session);  // holds the lock until all is revoked
  if (node.empty()) return;
  closings_.forget(session);
  const SessionInfo info = store_.session_info(session);
  spdlog::log(info.parent == 0 ? spdlog::level::info : spdlog::level::debug, "session {} (pid {}) removed: {}", session,
              info.pid, why);
  if (node.mapped().channel != nullptr) node.mapped().channel->close("its session was removed: " + std::string(why));
  const std::vector<std::uint64_t> heirs = store_.heirs_of(session);
  store_.remove_session(session);
  for (const std::uint64_t heir : heirs) {
    if (!alive(heir)) {
      remove(heir, "its parent has ended");
      continue;
    }
    store_.promote_heir(heir, 0);
    suspect(watched_.at(heir));
  }
}

bool SessionRegistry::remove_ended() {
  const auto now = std::chrono::steady_clock::now();
  if (now - all_looked_at_ < kBetweenLooksAtAll) return false;
  all_looked_at_ = now;
  bool removed = false;
  for (const std::uint64_t session : store_.sessions()) {
    if (!has(session) || !watched_.at(session).seen_alive || heir_in_waiting(session)) continue;
    removed |= look_at(session);
  }
  return removed;
}

void SessionRegistry::revoke_truncated() {
  if (segment_faults() == faults_seen_) return;
  faults_seen_ = segment_faults();
  for (const std::uint64_t session : truncated_.found()) remove(session, "it truncated its segment");
}

bool SessionRegistry::heir_in_waiting(std::uint64_t session) const { return store_.session_info(session).parent != 0; }

}  // namespace tensorbroker::broker
