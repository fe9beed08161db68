#include "broker/startup.h"

#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <utility>

#include "broker/default_capacity.h"
#include "broker/instance_files.h"
#include "broker/liveness.h"
#include "proto/catalog.h"
#include "proto/limits.h"
#include "proto/runtime_dir.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kLeastCapacity = 1ULL << 20;
constexpr std::uint64_t kPreparedPart = 8;  // of the capacity
constexpr std::uint64_t kMostPrepared = 512ULL << 20;

// What a predecessor recorded, where its catalog can be read; the lock is not needed for a look.
std::string recorded_runtime_dir(const InstanceName& name) {
  if (access(std::string(kShmDirectory).c_str(), R_OK) != 0) return {};  // the lock's refusal says what to do
  for (const SegmentId& segment : segments_of(name)) {
    if (segment.kind != SegmentKind::kCatalog) continue;
    try {
      const Catalog catalog = Catalog::open(name, segment.id, Access::kReadOnly);
      const std::string dir = catalog.options().runtime_dir;
      if (catalog.root().index.load() != kClosedRoot && !dir.empty() && check_runtime_dir(dir, name.uid)) return dir;
    } catch (const Error& e) {
      spdlog::debug("{}", e.what());  // adoption says what is wrong with it
    }
  }
  return {};
}

bool environment_says() {
  const char* dir = std::getenv("TENSORBROKER_RUNTIME_DIR");
  return dir != nullptr && dir[0] != '\0';
}

InstanceId random_instance() {
  InstanceId id{};
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    throw Error(ErrorCode::kRuntime, "the kernel gives no random bytes (getrandom)");
  }
  return id;
}

std::uint64_t capacity_for(const Options& options) {
  if (options.capacity) return *options.capacity;
  const std::uint64_t capacity = default_capacity();
  if (capacity >= kLeastCapacity) return capacity;
  throw OutOfMemoryError("there is no room for tensors: /dev/shm and the memory limits leave " +
                         std::to_string(capacity) +
                         " bytes; free some, enlarge /dev/shm (`mount -o remount,size=...`; in a container --shm-size) "
                         "or say --capacity");
}

// What the command line says, in place of what was in force.
void apply_explicit(const Options& options, CatalogOptions& kept) {
  kept.session_limit = options.session_limit.value_or(kept.session_limit);
  kept.user_limit = options.user_limit.value_or(kept.user_limit);
  kept.prepared = options.prepared.value_or(kept.prepared);
  kept.idle_exit_seconds = options.idle_exit_seconds.value_or(kept.idle_exit_seconds);
  Quotas& quotas = kept.quotas;
  quotas.session_tensors = options.session_tensors.value_or(quotas.session_tensors);
  quotas.user_tensors = options.user_tensors.value_or(quotas.user_tensors);
  quotas.user_sessions = options.user_sessions.value_or(quotas.user_sessions);
  quotas.user_connections = options.user_connections.value_or(quotas.user_connections);
  quotas.process_connections = options.process_connections.value_or(quotas.process_connections);
  quotas.patience_seconds = options.client_timeout_seconds.value_or(quotas.patience_seconds);
}

CatalogOptions new_options(const Options& options, const Place& place) {
  CatalogOptions made;
  made.capacity = capacity_for(options);
  made.prepared = std::min(made.capacity / kPreparedPart, kMostPrepared);
  made.max_tensors = options.max_tensors.value_or(made.max_tensors);
  made.max_sessions = options.max_sessions.value_or(made.max_sessions);
  apply_explicit(options, made);
  made.runtime_dir = place.runtime_dir;
  return made;
}

void warn_where_fixed(const char* option, std::optional<std::uint32_t> asked, std::uint32_t recorded) {
  if (asked && *asked != recorded) {
    spdlog::warn("{} {} is not in force: the adopted instance was made for {}; it changes with the next instance",
                 option, *asked, recorded);
  }
}

void apply_explicit(const Options& options, Store& store) {
  CatalogOptions kept = store.options();
  kept.capacity = options.capacity.value_or(kept.capacity);
  apply_explicit(options, kept);
  store.set_limits(kept);
  warn_where_fixed("--max-tensors", options.max_tensors, kept.max_tensors);
  warn_where_fixed("--max-sessions", options.max_sessions, kept.max_sessions);
}

}  // namespace

Place prepare_place(const Options& options) {
  Place place;
  place.name = {geteuid(), options.instance};
  if (options.runtime_dir.empty() && !environment_says()) place.runtime_dir = recorded_runtime_dir(place.name);
  if (place.runtime_dir.empty()) {
    place.runtime_dir =
        choose_runtime_dir(options.runtime_dir, place.name.uid, options.group ? Reach::kShared : Reach::kOwn);
  }
  place.socket = socket_path(place.runtime_dir, options.instance);
  place.log = log_path(place.runtime_dir, options.instance);
  prepare_runtime_dir(place.runtime_dir);
  return place;
}

InstanceLock take_lock(const Place& place) {
  LockRecord holder;
  auto lock = InstanceLock::acquire(place.name, {getpid(), place.runtime_dir}, &holder);
  if (lock) return std::move(*lock);
  std::string message =
      "a broker (pid " + std::to_string(holder.pid) + ") of instance " + place.name.instance + " is running";
  if (!holder.runtime_dir.empty() && holder.runtime_dir != place.runtime_dir) {
    message += ", with runtime directory " + holder.runtime_dir + "; use --runtime-dir " + holder.runtime_dir;
  } else {
    message += "; connect to it, end it (`tensorbroker stop`), or choose another --instance";
  }
  throw Error(ErrorCode::kRuntime, message);
}

bool has_segments(const InstanceName& name) { return !segments_of(name).empty(); }

Opened open_store(const Options& options, const Place& place, const StoreHooks& hooks) {
  // The locks of the dead are held until all of them are revoked.
  std::map<std::uint64_t, Liveness> looked_at;
  const auto is_alive = [&](std::uint64_t session) {
    try {
      return looked_at.try_emplace(session, Liveness(place.name, session)).first->second.alive();
    } catch (const NotFoundError&) {
      return true;  // a cleaner was there, and its client may live: adoption finds it missing, and adopts nothing
    }
  };
  if (auto adopted = Store::adopt(place.name, is_alive, hooks)) {
    apply_explicit(options, *adopted);
    if (options.group) adopted->share_with(*options.group);
    return {std::move(*adopted), true};
  }
  Store made = Store::create(place.name, random_instance(), new_options(options, place), hooks);
  try {
    if (options.group) made.share_with(*options.group);
  } catch (...) {
    made.close_root();
    made.unlink_all();
    throw;
  }
  return {std::move(made), false};
}

}  // namespace tensorbroker::broker
