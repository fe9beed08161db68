#include <algorithm>
#include <cerrno>
#include <numeric>
#include <string>
#include <utility>

#include "broker/state.h"
#include "broker/store.h"

namespace tensorbroker::broker {
namespace {

std::uint64_t sum(const std::vector<Range>& ranges) {
  return std::accumulate(ranges.begin(), ranges.end(), std::uint64_t{0},
                         [](std::uint64_t n, const Range& range) { return n + range.bytes; });
}

constexpr std::uint64_t excess(std::uint64_t n, std::uint64_t limit) { return n > limit ? n - limit : 0; }

void append(std::vector<Range>& to, const std::vector<Range>& ranges) {
  to.insert(to.end(), ranges.begin(), ranges.end());
}

Word& state_word(std::map<std::uint64_t, Session>& sessions, const Extent& extent) {
  return sessions.at(extent.owner).segment.extent_state(extent.slot);
}

}  // namespace

OutOfMemoryError Store::State::memory_error(std::uint64_t bytes, int error) const {
  std::string hint = "delete tensors or let go of them, or start the broker with a larger --capacity";
  if (error == ENOSPC) {
    hint = "free some of /dev/shm, or enlarge it (`mount -o remount,size=... /dev/shm`; in a container --shm-size)";
  } else if (error == ENOMEM) {
    hint = "raise the limit of the memory cgroup (memory.max; in a container --memory), or use a smaller --capacity";
  }
  return OutOfMemoryError("out of memory: asked for " + std::to_string(bytes) + " bytes, used " + std::to_string(used) +
                          " of the capacity of " + std::to_string(options.capacity) + ", /dev/shm has " +
                          std::to_string(arena.file_system_free()) + " left; " + hint);
}

// What has to be taken from others before this grant fits both the capacity and the file system.
std::uint64_t Store::State::shortage(const PagePool::Take& take) const {
  return std::max(excess(used + take.range.bytes, options.capacity),
                  excess(sum(take.reserve), arena.file_system_free() + pool.warm_bytes() + preparing.bytes));
}

std::vector<std::uint32_t> Store::State::takeable(std::uint64_t requester) const {
  std::vector<std::uint32_t> ids;
  for (const auto& [id, extent] : extents.all()) {
    const Word& state = sessions.at(extent.owner).segment.extent_state(extent.slot);
    if (!extent.taken && blocks.covered_pages(extent.range).empty() &&
        state.load(std::memory_order_seq_cst) == static_cast<std::uint64_t>(ExtentState::kFree)) {
      ids.push_back(id);
    }
  }
  // The requester's own come last: it would have used one that is large enough.
  std::stable_partition(ids.begin(), ids.end(), [&](std::uint32_t id) { return extents.find(id)->owner != requester; });
  return ids;
}

bool Store::State::take_free_extents(std::uint64_t bytes, std::uint64_t requester) {
  const std::vector<std::uint32_t> ids = takeable(requester);
  std::uint64_t free = 0;
  for (const std::uint32_t id : ids) free += extents.find(id)->range.bytes;
  if (free < bytes) return false;
  std::uint64_t taken = 0;
  for (std::size_t i = 0; i < ids.size() && taken < bytes; ++i) {
    const Extent extent = *extents.find(ids[i]);
    auto expected = static_cast<std::uint64_t>(ExtentState::kFree);
    if (!state_word(sessions, extent)
             .compare_exchange_strong(expected, static_cast<std::uint64_t>(ExtentState::kTaken))) {
      continue;  // its owner was faster
    }
    extents.mark_taken(ids[i]);
    taken_to_punch.push_back(extent.range);
    used -= extent.range.bytes;
    sessions.at(extent.owner).charged -= extent.range.bytes;
    taken += extent.range.bytes;
    ++counted.extents_taken;
  }
  return taken >= bytes;
}

// Makes capacity and file system large enough for `take`; returns pages to punch first. Throws OutOfMemoryError.
std::vector<Range> Store::State::make_room(const PagePool::Take& take, std::uint64_t requester, Need need) {
  const std::uint64_t bytes = take.range.bytes;
  if (shortage(take) > 0) reclaim();
  if (shortage(take) > 0 && !take_free_extents(shortage(take), requester)) {
    throw memory_error(bytes, used + bytes > options.capacity ? 0 : ENOSPC);
  }
  // The worker may give what it is preparing its pages before this grant its own, or have done so.
  const std::uint64_t too_warm = excess(used + bytes + pool.warm_bytes() + preparing.bytes, options.capacity);
  const std::uint64_t too_full = excess(sum(take.reserve) + preparing.bytes, arena.file_system_free());
  return give_up_warm(need == Need::kPressing ? ~std::uint64_t{0} : std::max(too_warm, too_full));
}

Reservation Store::begin_grant(std::uint64_t id, std::uint64_t wanted, Need need) {
  State& s = *state_;
  s.check_open();
  Session& session = s.session(id);
  if (wanted == 0) throw InvalidArgumentError("an extent of 0 bytes was asked for; it must be at least 1");
  if (wanted > s.options.capacity) throw s.memory_error(wanted, 0);
  const std::uint64_t bytes = round_up_to_page(wanted);
  s.check_quota(session, bytes);
  s.check_extents(session);

  std::optional<PagePool::Take> take = s.pool.take(bytes);
  if (!take) {
    s.reclaim();
    take = s.pool.take(bytes);
  }
  if (!take) throw s.memory_error(bytes, 0);
  PendingGrant pending{.session = id, .take = *take, .trimmed = {}};
  try {
    pending.trimmed = s.make_room(*take, id, need);
  } catch (const OutOfMemoryError&) {
    s.pool.untake(*take);
    throw;
  }
  s.used += bytes;
  session.charged += bytes;
  s.cooling = false;
  ++s.grants_begun;
  Reservation reservation{.session = id, .range = take->range, .punch = pending.trimmed, .reserve = take->reserve};
  append(reservation.punch, take->punch);
  append(reservation.punch, std::exchange(s.taken_to_punch, {}));
  for (const Range& range : reservation.punch) s.counted.punched_bytes += range.bytes;
  s.pending.emplace(take->range.offset, std::move(pending));
  return reservation;
}

// Takes the grant off the list and its charge off its session. nullopt where there is none.
std::optional<PendingGrant> Store::State::end_pending(const Range& range) {
  const auto at = pending.find(range.offset);
  if (at == pending.end() || at->second.take.range != range) return std::nullopt;
  PendingGrant ended = std::move(at->second);
  pending.erase(at);
  used -= range.bytes;
  if (const auto owner = sessions.find(ended.session); owner != sessions.end()) owner->second.charged -= range.bytes;
  for (const Range& trimmed : ended.trimmed) pool.give(trimmed, Warmth::kCold);
  return ended;
}

Granted Store::finish_grant(const Reservation& reservation) {
  State& s = *state_;
  if (!s.end_pending(reservation.range)) throw NotFoundError("there is no such grant under way");
  const auto at = s.sessions.find(reservation.session);
  if (at == s.sessions.end()) {
    s.pool.give(reservation.range, Warmth::kWarm);
    throw NotFoundError("session " + std::to_string(reservation.session) + " ended before its grant");
  }
  Session& session = at->second;
  std::optional<std::uint32_t> slot;
  try {
    slot = s.take_slot(session);
    session.segment.extent_state(*slot).store(static_cast<std::uint64_t>(ExtentState::kUsed),
                                              std::memory_order_seq_cst);
    const std::uint32_t id =
        s.extents.add(s.catalog, s.file, {.owner = session.id, .slot = *slot, .range = reservation.range});
    session.extents.insert(id);
    s.used += reservation.range.bytes;
    session.charged += reservation.range.bytes;
    ++s.counted.grants;
    return {.extent = id, .slot = *slot, .range = reservation.range};
  } catch (...) {
    if (slot) session.free_slots.push_back(*slot);
    s.pool.give(reservation.range, Warmth::kWarm);
    throw;
  }
}

OutOfMemoryError Store::abort_grant(const Reservation& reservation, int error) {
  State& s = *state_;
  if (std::optional<PendingGrant> pending = s.end_pending(reservation.range)) {
    pending->take.punch.clear();  // they were punched, whatever happened then
    s.pool.untake(pending->take);
  }
  return s.memory_error(reservation.range.bytes, error);
}

// A block that lies in no extent any more is its publisher's to pay for.
void Store::State::charge_block(EntryId id, const Range& block) {
  accounts.charge(catalog.entry(id).owner.load(std::memory_order_relaxed),
                  {.bytes = static_cast<std::int64_t>(block.bytes), .tensors = 0});
}

// Takes an extent from its owner's hands: pages under blocks stay where they are, the others go to the pool.
void Store::State::release_extent(std::uint32_t id, Warmth warmth) {
  const Extent extent = *extents.find(id);
  Session& owner = sessions.at(extent.owner);
  RangeSet empty;
  empty.insert(extent.range);
  for (const Range& covered : blocks.covered_pages(extent.range)) {
    empty.erase(covered);
    used += covered.bytes;
  }
  blocks.for_each_in(extent.range, [this](const Range& block, EntryId entry) { charge_block(entry, block); });
  if (extent.taken) {
    warmth = Warmth::kUnknown;  // its owner may have written there since
    std::erase(taken_to_punch, extent.range);
  } else {
    used -= extent.range.bytes;
    owner.charged -= extent.range.bytes;
  }
  extents.remove(catalog, id);
  owner.extents.erase(id);
  owner.segment.extent_state(extent.slot).store(static_cast<std::uint64_t>(ExtentState::kNone));
  owner.free_slots.push_back(extent.slot);
  for (const Range& range : empty.ranges()) pool.give(range, warmth);
}

// Its owner gives the end of it back. One whose pages were taken meanwhile stays whole until all of it is given back.
void Store::State::shorten_extent(std::uint32_t id, std::uint64_t bytes) {
  const Extent extent = *extents.find(id);
  if (extent.taken) return;
  const Range end{extent.range.offset + bytes, extent.range.bytes - bytes};
  extents.shorten(catalog, id, bytes);
  used -= end.bytes;
  sessions.at(extent.owner).charged -= end.bytes;
  pool.give(end, Warmth::kWarm);
}

// REQUIRES: the session exists. Throws InvalidArgumentError where that extent cannot become so short.
void Store::State::check_given_back(const Session& session, std::uint32_t id, std::uint64_t keep) const {
  const std::string called = "extent " + std::to_string(id);
  if (!session.extents.contains(id))
    throw InvalidArgumentError(called + " is not one of session " + std::to_string(session.id));
  if (keep == 0) return;
  const Range& range = extents.find(id)->range;
  if (keep % kPageSize != 0 || keep >= range.bytes ||
      !blocks.covered_pages({range.offset + keep, range.bytes - keep}).empty()) {
    throw InvalidArgumentError(called + " of " + std::to_string(range.bytes) + " bytes cannot be cut to " +
                               std::to_string(keep) + ": that must be whole pages, fewer, and all that hold tensors");
  }
}

void Store::give_back(std::uint64_t id, std::span<const std::uint32_t> ids, std::span<const std::uint64_t> keep) {
  State& s = *state_;
  const Session& session = s.session(id);
  if (!keep.empty() && keep.size() != ids.size())
    throw InvalidArgumentError("it must be said of each extent, or of none, how much of it is kept");
  std::map<std::uint32_t, std::uint64_t> kept;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::uint64_t bytes = keep.empty() ? 0 : keep[i];
    s.check_given_back(session, ids[i], bytes);
    if (!kept.emplace(ids[i], bytes).second)
      throw InvalidArgumentError("extent " + std::to_string(ids[i]) + " is given back twice");
  }
  for (const auto& [extent, bytes] : kept) {
    if (bytes != 0) {
      s.shorten_extent(extent, bytes);
    } else {
      s.release_extent(extent, Warmth::kWarm);
    }
  }
}

std::vector<Range> Store::take_punch_work(std::uint64_t limit) {
  State& s = *state_;
  // Never all that is free: a successor knows nothing of any page, and who asks for some meanwhile must find them.
  limit = std::min(limit, s.pool.free_bytes() / 2 / kPageSize * kPageSize);
  std::vector<Range> work = s.pool.take_punch_work(s.warm_bound(), limit);
  for (const Range& range : work) s.punching.insert(range.offset);
  if (s.pool.warm_bytes() == 0) s.cooling = false;
  append(work, std::exchange(s.taken_to_punch, {}));
  s.counted.punched_bytes += sum(work);
  return work;
}

void Store::punched(std::span<const Range> ranges) {
  // A taken extent's pages are not the pool's before their owner gives them back.
  for (const Range& range : ranges) {
    if (state_->punching.erase(range.offset) > 0) state_->pool.give(range, Warmth::kCold);
  }
}

}  // namespace tensorbroker::broker
