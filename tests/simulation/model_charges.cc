// What everybody is charged for, added up anew each time.

#include <algorithm>

#include "proto/limits.h"
#include "tests/simulation/model.h"

namespace tensorbroker::simulation {
namespace {

constexpr std::uint64_t kSeveral = ~std::uint64_t{0};

std::int64_t signed_of(std::uint64_t n) { return static_cast<std::int64_t>(n); }

Range pages_around(const Range& range) {
  const std::uint64_t begin = range.offset / kPageSize * kPageSize;
  return {begin, round_up_to_page(range.end()) - begin};
}

}  // namespace

const ModelExtent* Model::extent_of(const Range& block) const {
  for (const auto& [id, extent] : extents_) {
    if (extent.range.contains(block)) return &extent;
  }
  return nullptr;
}

bool Model::overlaps_block(const Range& range) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const auto& entry) {
    return !entry.second.block.empty() && entry.second.block.overlaps(range);
  });
}

uid_t Model::payer_of(std::uint64_t session) const {
  if (const auto at = sessions_.find(session); at != sessions_.end()) return at->second.uid;
  for (const auto& [id, entry] : entries_) {
    if (entry.publisher == session) return entry.payer;
  }
  return store_->name().uid;
}

// What is retired and only one session leases is that one's to pay, not its publisher's.
std::map<std::uint64_t, Model::Use> Model::moved() const {
  std::map<EntryId, std::uint64_t> holders;
  for (const auto& [id, entry] : entries_) {
    if (!entry.is_live() && leased_.contains(id)) holders[id] = 0;
  }
  for (const auto& [session, holder] : sessions_) {
    if (holders.empty()) break;
    for (const auto& [cell, entry] : holder.leases) {
      const auto known = holders.find(entry);
      if (known == holders.end()) continue;
      known->second = known->second == 0 || known->second == session ? session : kSeveral;
    }
  }
  std::map<std::uint64_t, Use> moved;
  for (const auto& [id, holder] : holders) {
    const ModelEntry& entry = entries_.at(id);
    if (holder == kSeveral || holder == entry.publisher) continue;
    const Use use{.bytes = signed_of(entry.block.bytes), .tensors = 1};
    moved[holder] += use;
    moved[entry.publisher] -= use;
  }
  return moved;
}

// Everything that is charged, by session, those included that ended.
std::map<std::uint64_t, Model::Use> Model::uses() const {
  std::map<std::uint64_t, Use> uses = moved();
  for (const auto& [id, session] : sessions_) {
    uses[id] += {.bytes = signed_of((session.lease_cells - kInitialLeases) * sizeof(Word)), .tensors = 0};
  }
  for (const auto& [id, entry] : entries_) {
    const bool has_extent = entry.block.empty() || extent_of(entry.block) != nullptr;
    uses[entry.publisher] +=
        {.bytes = signed_of(entry.record_bytes + (has_extent ? 0 : entry.block.bytes)), .tensors = 1};
  }
  for (const auto& [id, extent] : extents_) {
    if (!extent.is_taken) uses[extent.owner] += {.bytes = signed_of(extent.range.bytes), .tensors = 0};
  }
  for (const ModelGrant& grant : grants_) {
    if (sessions_.contains(grant.session)) uses[grant.session] += {.bytes = signed_of(grant.bytes), .tensors = 0};
  }
  return uses;
}

Model::Use Model::use_of_user(const std::map<std::uint64_t, Use>& uses, uid_t uid) const {
  Use sum;
  for (const auto& [session, use] : uses) {
    if (payer_of(session) == uid) sum += use;
  }
  return sum;
}

// Whether so many bytes more are beyond a limit; of headers an eighth more is allowed.
bool Model::exceeds(std::uint64_t session, std::int64_t bytes, bool is_header) const {
  const CatalogOptions& options = store_->options();
  if (options.session_limit == 0 && options.user_limit == 0) return false;
  const auto uses = this->uses();
  const auto most = [&](std::uint64_t limit) { return signed_of(limit + (is_header ? limit / 8 : 0)); };
  const uid_t uid = sessions_.at(session).uid;
  const auto own = uses.find(session);
  const std::int64_t of_session = own != uses.end() ? own->second.bytes : 0;
  return (options.session_limit != 0 && of_session + bytes > most(options.session_limit)) ||
         (options.user_limit != 0 && use_of_user(uses, uid).bytes + bytes > most(options.user_limit));
}

bool Model::lost_sessions() const {
  return std::any_of(sessions_.begin(), sessions_.end(),
                     [this](const auto& known) { return !store_->has_session(known.first); });
}

// Before it refuses, the broker looks for sessions that have ended; then what they had decides no more.
void Model::beyond_quota(Errors& errors, bool holds) const {
  if (lost_sessions()) return errors.may(ErrorCode::kQuota);
  errors.must(ErrorCode::kQuota, holds);
}

// Whether one tensor more is beyond a limit, in place of `replaced` if there is one.
bool Model::exceeds_tensors(std::uint64_t session, EntryId replaced) const {
  const Quotas& limits = store_->options().quotas;
  if (limits.session_tensors == 0 && limits.user_tensors == 0) return false;
  const auto uses = this->uses();
  const uid_t uid = sessions_.at(session).uid;
  const std::uint64_t publisher = replaced != kNoEntry ? entries_.at(replaced).publisher : 0;
  const auto own = uses.find(session);
  const std::int64_t of_session = own != uses.end() ? own->second.tensors : 0;
  const bool of_itself = replaced != kNoEntry && publisher == session;
  const bool of_its_user = of_itself || (replaced != kNoEntry && payer_of(publisher) == uid);
  return (limits.session_tensors != 0 && of_session + (of_itself ? 0 : 1) > signed_of(limits.session_tensors)) ||
         (limits.user_tensors != 0 &&
          use_of_user(uses, uid).tensors + (of_its_user ? 0 : 1) > signed_of(limits.user_tensors));
}

// Of blocks that lie in no extent; what several blocks share counts once.
std::uint64_t Model::pages_without_extent() const {
  std::map<std::uint64_t, std::uint64_t> ends;  // of runs of pages, by begin
  for (const auto& [id, entry] : entries_) {
    if (entry.block.empty() || extent_of(entry.block) != nullptr) continue;
    const Range pages = pages_around(entry.block);
    std::uint64_t& end = ends[pages.offset];
    end = std::max(end, pages.end());
  }
  std::uint64_t bytes = 0;
  std::uint64_t counted = 0;
  for (const auto& [begin, end] : ends) {
    bytes += end > counted ? end - std::max(begin, counted) : 0;
    counted = std::max(counted, end);
  }
  return bytes;
}

std::uint64_t Model::used() const {
  std::uint64_t bytes = pages_without_extent();
  for (const auto& [id, extent] : extents_) bytes += extent.is_taken ? 0 : extent.range.bytes;
  for (const ModelGrant& grant : grants_) bytes += grant.bytes;
  return bytes;
}

bool Model::may_be_taken(std::uint32_t id) const {
  const ModelExtent& extent = extents_.at(id);
  const Word& state = store_->session_mapping(extent.owner).extent_state(extent.slot);
  return !extent.is_taken && !overlaps_block(extent.range) &&
         state.load() == static_cast<std::uint64_t>(ExtentState::kFree);
}

// Whether a grant could be made: within the capacity, if need be with what may be taken, and in one piece.
bool Model::has_room_for(std::uint64_t bytes) const {
  std::uint64_t needed = used() + bytes;
  std::map<std::uint64_t, std::uint64_t> occupied;  // end by begin
  for (const auto& [id, extent] : extents_) {
    if (may_be_taken(id)) needed -= extent.range.bytes;
    occupied[extent.range.offset] = extent.range.end();
  }
  if (needed > store_->options().capacity) return false;
  for (const auto& [id, entry] : entries_) {
    if (entry.block.empty()) continue;
    const Range pages = pages_around(entry.block);
    std::uint64_t& end = occupied[pages.offset];
    end = std::max(end, pages.end());
  }
  std::uint64_t begin = kPageSize;
  for (const auto& [from, to] : occupied) {
    if (from >= begin + bytes) return true;
    begin = std::max(begin, to);
  }
  return store_->options().arena_bytes >= begin + bytes;
}

}  // namespace tensorbroker::simulation
