#include "broker/daemon.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <string>
#include <utility>

#include "broker/default_capacity.h"
#include "broker/dispatch.h"
#include "proto/runtime_dir.h"
#include "proto/segment.h"

namespace tensorbroker::broker {
namespace {

// Removes the lock's name where a start fails that had found nothing to adopt.
Opened open_or_clean_up(const Options& options, const Place& place, const StoreHooks& hooks, InstanceLock& lock) {
  try {
    return open_store(options, place, hooks);
  } catch (...) {
    if (!has_segments(place.name)) lock.remove_name();
    throw;
  }
}

// What the machine could bear beside what is in memory now.
std::uint64_t spare_memory() {
  try {
    return default_capacity();
  } catch (const Error&) {
    return 0;  // /dev/shm cannot be looked at: nothing is to be put there
  }
}

// Each client takes up to three descriptors: its connection, its session, its process.
constexpr rlim_t kDescriptorsOfAClient = 3;
constexpr rlim_t kDescriptorsOfOurOwn = 32;
constexpr std::uint64_t kConnectionsWithoutSession = 64;  // in a handshake, or that their sessions have left behind

Server::Limits server_limits(const CatalogOptions& options) {
  const Quotas& quotas = options.quotas;
  Server::Limits limits{
      .connections = {.of_user = quotas.user_connections, .of_process = quotas.process_connections},
      .patience = std::chrono::milliseconds(static_cast<std::int64_t>(quotas.patience_seconds * 1e3))};
  std::uint64_t& of_user = limits.connections.of_user;
  if (of_user == 0) of_user = options.max_sessions + kConnectionsWithoutSession;
  rlimit descriptors{};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0 && descriptors.rlim_cur > kDescriptorsOfOurOwn) {
    of_user = std::min(of_user, (descriptors.rlim_cur - kDescriptorsOfOurOwn) / kDescriptorsOfAClient);
  }
  return limits;
}

}  // namespace

Daemon::Daemon(const Options& options, const Place& place, InstanceLock lock)
    : place_(place),
      lock_(std::move(lock)),
      names_(loop_, place, lock_,
             {.what_is_lost = [this](InstanceNames::Look look) { return what_is_lost(look); },
              .listen = [this] { make_server(); },
              .end_instance = [this] { stop(false, {}); }}),
      opened_(open_or_clean_up(options, place, hooks(), lock_)),
      sessions_(loop_, store_, truncated_, [this] { keep_house(); }),
      memory_(std::make_unique<MemoryWork>(
          loop_, store_, [this] { keep_house(); }, spare_memory)),
      idle_(loop_, store_, sessions_, [this] { stop(false, {}); }),
      housekeeping_(loop_, store_, sessions_, *memory_, idle_),
      services_{store_,
                sessions_,
                *memory_,
                std::chrono::steady_clock::now(),
                [this] { turns_.follow_up(); },
                [this] { return turns_.is_behind(); },
                [this](bool keep, std::function<void()> answered) { stop(keep, std::move(answered)); }} {
  if (opened_.adopted) sessions_.adopt_all();
  loop_.on_end_signal([this](int signal) {
    spdlog::info("signal {} ({})", signal, sigabbrev_np(signal));
    stop(false, {});
  });
  listen();
  names_.start(store_.catalog().segment().name(), store_.arena().name());
  const CatalogOptions& o = store_.options();
  spdlog::info("instance {} {}: capacity {} bytes, {} sessions, socket {}", place.name.instance,
               opened_.adopted ? "adopted" : "created", o.capacity, store_.sessions().size(), place.socket);
}

Daemon::~Daemon() = default;

StoreHooks Daemon::hooks() {
  return {.mapped =
              [this](SessionSegment& session) {
                truncated_.add(session);
                names_.add_session(session);
              },
          .unmapping =
              [this](SessionSegment& session) {
                names_.forget_session(session);
                truncated_.remove(session);
              }};
}

std::string Daemon::what_is_lost(InstanceNames::Look look) const {
  const std::string catalog = store_.catalog().segment().name();
  const std::string arena = store_.arena().name();
  if (store_.catalog_is_truncated()) return catalog + " was truncated";
  if (store_.arena().size() < store_.options().arena_bytes) return arena + " was truncated";
  if (look == InstanceNames::Look::kSizes) return {};
  std::vector<std::string> segments{catalog, arena};
  for (const std::uint64_t session : store_.sessions()) {
    segments.push_back(place_.name.segment(SegmentKind::kSession, session));
  }
  for (const std::string& segment : segments) {
    if (access((std::string(kShmDirectory) + "/" + segment).c_str(), F_OK) != 0) return segment + " was removed";
  }
  return {};
}

// What is left of a truncated catalog is nothing to work on.
void Daemon::keep_house() {
  if (store_.catalog().segment().truncation().any()) return names_.look(InstanceNames::Look::kSizes);
  housekeeping_.run();
}

// The socket's name may be there already, as another one's that nobody listens on.
void Daemon::make_server() {
  if (server_ != nullptr) server_->abandon();
  const Served served{.owner = place_.name.uid, .group = store_.group()};
  if (served.group) share_runtime_dir(place_.runtime_dir, *served.group);
  server_ = std::make_unique<Server>(
      loop_, turns_, rings_, place_.socket, served, server_limits(store_.options()),
      [this](const std::shared_ptr<Channel>& channel) { return std::make_shared<Dispatch>(services_, channel); });
}

void Daemon::listen() {
  try {
    make_server();
  } catch (const Error&) {
    if (!opened_.adopted) end_in_order();
    throw;
  }
}

void Daemon::run() {
  keep_house();
  loop_.run();
  if (keep_) {
    spdlog::info("ending; everything is left to a successor");
    server_->abandon();
  } else {
    end_in_order();
  }
  if (answered_) answered_();
}

void Daemon::stop(bool keep, std::function<void()> answered) {
  if (ending_) return;
  ending_ = true;
  keep_ = keep;
  answered_ = std::move(answered);
  // Not from within: the handler that this comes from finishes first.
  loop_.post([this] { loop_.stop(); });
}

void Daemon::end_in_order() {
  spdlog::info("ending in good order");
  memory_.reset();  // the worker touches no page from here on
  store_.close_root();
  store_.unlink_all();
  // Where the lock's name is another broker's by now, so is the socket's.
  if (!lock_.still_named()) server_->abandon();
  server_.reset();
  lock_.remove_name();
}

}  // namespace tensorbroker::broker
