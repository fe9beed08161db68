// What each session and user has, against what they may have. Everything is charged before it is allocated.

#include <algorithm>
#include <string>
#include <unordered_map>

#include "broker/reclaim.h"
#include "broker/state.h"
#include "broker/store.h"

namespace tensorbroker::broker {
namespace {

// Headers may go so far beyond a limit of bytes: what was granted can be published.
constexpr std::uint64_t kPart = 8;

constexpr std::uint64_t kSeveral = ~std::uint64_t{0};

std::int64_t signed_of(std::uint64_t n) { return static_cast<std::int64_t>(n); }

struct Limit {
  std::int64_t most = 0;  // 0: none
  const char* unit = "";
  const char* flag = "";
};

// `at_most` is cheap, and `exactly` a function that looks at every lease: it is called only where that decides.
template <class Has>
void check(const std::string& whose, std::int64_t at_most, Has exactly, std::int64_t asked, const Limit& limit) {
  if (limit.most == 0 || at_most + asked <= limit.most) return;
  const std::int64_t has = exactly();
  if (has + asked <= limit.most) return;
  throw QuotaError("asked for " + std::to_string(asked) + limit.unit + ": " + whose + " uses " + std::to_string(has) +
                   " of its limit of " + std::to_string(limit.most) + "; let go of tensors, or raise " + limit.flag);
}

}  // namespace

// The bytes of a publication's records beside its block.
Use Store::State::use_of_records(EntryId id) const {
  const HeapRef header = HeapRef::unpack(catalog.entry(id).header.load(std::memory_order_relaxed));
  return {.bytes = signed_of(header.bytes), .tensors = 1};
}

Use Store::State::use_of_leases(const Session& session) const {
  const std::uint32_t cells = std::max(session.leases_committed, kInitialLeases) - kInitialLeases;
  return {.bytes = signed_of(cells * sizeof(Word)), .tensors = 0};
}

// What is retired and leased by one session alone is that one's to pay, not its publisher's: by session, what comes on
// top of what is charged to it, or off it.
std::map<std::uint64_t, Use> Store::State::held_for_others() const {
  std::unordered_map<EntryId, std::uint64_t> holders;
  for (const EntryId id : retired) holders.emplace(id, 0);
  if (holders.empty()) return {};
  for (const auto& [id, holder] : sessions) {
    for_each_lease(holder.lease_table(), [&, session = id](std::uint64_t entry) {
      const auto at = entry < kNoEntry ? holders.find(static_cast<EntryId>(entry)) : holders.end();
      if (at == holders.end()) return;
      at->second = at->second == 0 || at->second == session ? session : kSeveral;
    });
  }
  std::map<std::uint64_t, Use> moved;
  for (const auto& [id, holder] : holders) {
    const std::uint64_t publisher = catalog.entry(id).owner.load(std::memory_order_relaxed);
    if (holder == 0 || holder == kSeveral || holder == publisher) continue;
    const Use use{.bytes = signed_of(block_of(id).bytes), .tensors = 1};
    moved[holder] += use;
    moved[publisher] -= use;
  }
  return moved;
}

// What its publications, extents and lease table cost.
Use Store::State::own_use_of(const Session& session) const {
  Use use = accounts.of_session(session.id);
  use.bytes += signed_of(session.charged);
  return use;
}

Use Store::State::own_use_of_user(uid_t uid) const {
  Use use = accounts.of_user(uid);
  for (const auto& [id, session] : sessions) use.bytes += session.uid == uid ? signed_of(session.charged) : 0;
  return use;
}

// What it may hold for others comes to no more than all that is retired.
Use Store::State::at_most(Use use) const {
  return use += {.bytes = signed_of(counted.retired), .tensors = signed_of(retired.size())};
}

Use Store::State::use_of(const Session& session) const {
  Use use = own_use_of(session);
  if (const auto moved = held_for_others(); moved.contains(session.id)) use += moved.at(session.id);
  return use;
}

Use Store::State::use_of_user(uid_t uid) const {
  Use use = own_use_of_user(uid);
  for (const auto& [id, moved] : held_for_others()) {
    if (accounts.uid_of(id) == uid) use += moved;
  }
  return use;
}

void Store::State::check_bytes(const Session& session, std::uint64_t bytes, std::uint64_t slack) const {
  const auto limited = [slack](std::uint64_t limit) { return signed_of(limit + limit / kPart * slack); };
  if (options.session_limit != 0) {
    check("session " + std::to_string(session.id), at_most(own_use_of(session)).bytes,
          [&] { return use_of(session).bytes; }, signed_of(bytes),
          {limited(options.session_limit), " bytes", "--session-limit"});
  }
  if (options.user_limit != 0) {
    check("user " + std::to_string(session.uid), at_most(own_use_of_user(session.uid)).bytes,
          [&] { return use_of_user(session.uid).bytes; }, signed_of(bytes),
          {limited(options.user_limit), " bytes", "--user-limit"});
  }
}

void Store::State::check_quota(const Session& session, std::uint64_t bytes) const { check_bytes(session, bytes, 0); }

// REQUIRES: what `replaced` says is going to be retired by it.
void Store::State::check_tensors(const Session& session, EntryId replaced) const {
  // Anonymous and retired ones have no other limit: one client must not have the entries of all.
  const std::uint64_t spares = catalog.tables().entries_limit() - options.max_tensors;
  const Quotas& limits = options.quotas;
  const std::uint64_t most = limits.session_tensors != 0 ? limits.session_tensors : options.max_tensors + spares / 2;
  const auto asked = [&](uid_t uid, std::uint64_t id) -> std::int64_t {
    if (replaced == kNoEntry) return 1;
    const std::uint64_t publisher = catalog.entry(replaced).owner.load(std::memory_order_relaxed);
    return publisher == id || (id == 0 && accounts.uid_of(publisher) == uid) ? 0 : 1;
  };
  // Without a limit of its own a session is looked at closely only when it has published so many.
  if (limits.session_tensors != 0 || accounts.of_session(session.id).tensors >= signed_of(most)) {
    check("session " + std::to_string(session.id), at_most(own_use_of(session)).tensors,
          [&] { return use_of(session).tensors; }, asked(session.uid, session.id),
          {signed_of(most), " tensors", limits.session_tensors != 0 ? "--session-tensors" : "--max-tensors"});
  }
  if (limits.user_tensors != 0) {
    check("user " + std::to_string(session.uid), at_most(own_use_of_user(session.uid)).tensors,
          [&] { return use_of_user(session.uid).tensors; }, asked(session.uid, 0),
          {signed_of(limits.user_tensors), " tensors", "--user-tensors"});
  }
}

void Store::State::check_publication_quota(const Session& session, EntryId replaced, std::uint64_t header_bytes) {
  try {
    check_tensors(session, replaced);
    check_bytes(session, header_bytes, 1);
  } catch (const QuotaError&) {
    if (retired.empty() || reclaim() == 0) throw;
    check_tensors(session, replaced);
    check_bytes(session, header_bytes, 1);
  }
}

void Store::State::check_sessions(uid_t uid) const {
  const std::uint64_t has = accounts.sessions_of(uid);
  const std::uint64_t most = options.quotas.user_sessions;
  if (most == 0 || has < most) return;
  throw QuotaError("user " + std::to_string(uid) + " has " + std::to_string(has) +
                   " sessions, as many as its limit of " + std::to_string(most) +
                   "; close some clients, or raise --user-sessions");
}

// The tables of pins and extents are everybody's: one session has a part of each.
void Store::State::check_pins(std::uint64_t session) const {
  if (pins.count(session) < kMaxPins) return;
  throw QuotaError(
      "session " + std::to_string(session) + " has " + std::to_string(kMaxPins) +
      " tensors sent and not received, or pinned, which is the most; receive some, or try again when their "
      "minute is over");
}

void Store::State::check_extents(const Session& session) const {
  const std::uint64_t most = extents.limit() / 2;
  if (session.extents.size() < most) return;
  throw QuotaError("session " + std::to_string(session.id) + " has " + std::to_string(session.extents.size()) +
                   " extents of its limit of " + std::to_string(most) + "; put larger tensors, or delete some");
}

Use Store::charged_to(std::uint64_t id) const { return state_->use_of(state_->session(id)); }

}  // namespace tensorbroker::broker
