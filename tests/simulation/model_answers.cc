// Whether an answer is one that the request can have, and what it changes.

#include <algorithm>

#include "proto/heap_record.h"
#include "proto/limits.h"
#include "proto/name.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/model.h"
#include "tests/simulation/violation.h"

namespace tensorbroker::simulation {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

bool is_name(const std::string& name) {
  try {
    check_name(name);
    return true;
  } catch (const InvalidArgumentError&) {
    return false;
  }
}

std::uint64_t now() { return Kernel::current()->now_ns; }

}  // namespace

bool Errors::judge(const schema::ReplyItem& reply) const {
  const auto code = static_cast<ErrorCode>(reply.error());
  if (code == ErrorCode::kOk) {
    require(must_.empty(), "what is not allowed is refused", reply.body_type() == schema::Reply::NONE ? 0 : 1);
    require(reply.body() != nullptr, "an answer has a body");
    return true;
  }
  if (!must_.contains(code) && !may_.contains(code)) {
    throw Violation("it does not hold that only what breaks a rule is refused (error " + std::to_string(reply.error()) +
                    ": " + (reply.message() != nullptr ? reply.message()->str() : "") + ")");
  }
  return false;
}

void Model::answered(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Circumstances how) {
  Errors errors(how.scarce);
  switch (r.kind) {
    case schema::Request::Hello:
      return answered_hello(session, r, reply, errors);
    case schema::Request::Locked:
      return answered_locked(session, r, reply, errors);
    case schema::Request::Grant:
      return answered_grant(session, r, reply, how);
    case schema::Request::GiveBack:
      return answered_give_back(session, r, reply, errors);
    case schema::Request::Publish:
      return answered_publish(session, r, reply, how);
    case schema::Request::Delete:
      return answered_delete(session, r, reply, errors);
    case schema::Request::Pin:
      return answered_pin(session, r, reply, errors);
    case schema::Request::Unpin:
      errors.judge(reply);
      return answered_unpin(session, r);
    case schema::Request::Send:
      return answered_send(r, reply, errors);
    case schema::Request::Holders:
      return answered_holders(r, reply, errors);
    case schema::Request::Spares:
      return answered_spares(session, r, reply, errors);
    case schema::Request::GrowLeases:
      return answered_grow(session, r, reply, errors);
    case schema::Request::Stats:
      if (errors.judge(reply) && how.alone) compare_answer(*reply.body_as_Statistics());
      return;
    default:
      errors.judge(reply);
  }
}

// ---------------------------------------------------------------- mutations

// The result that a sequence number had before: no matter what is asked with it now.
const ModelSession::Result* Model::repeated(std::uint64_t session, const Request& r, Errors& errors) const {
  errors.must(ErrorCode::kInvalidArgument, r.sequence == 0);
  const ModelSession::Result& kept = sessions_.at(session).window[r.sequence % kWindow];
  errors.must(ErrorCode::kRuntime, kept.sequence > r.sequence);
  return r.sequence != 0 && kept.sequence == r.sequence ? &kept : nullptr;
}

void Model::note_result(std::uint64_t session, std::uint64_t sequence, std::uint64_t value) {
  sessions_.at(session).window[sequence % kWindow] = {sequence, value};
}

void Model::note_event(EventType type, std::uint64_t version, const std::string& name) {
  ++changes_;
  expected_events_[++events_] = {type, version, name};
}

void Model::check_publication(std::uint64_t session, const Request& r, Errors& errors) const {
  errors.must(ErrorCode::kInvalidArgument, !sessions_.at(session).spares.contains(r.entry) || !r.is_sound);
  if (r.bytes > 0) {
    const Range block{r.block_offset, padded_block_bytes(r.bytes, r.is_mutable)};
    const ModelExtent* const extent = extent_of(block);
    errors.must(ErrorCode::kInvalidArgument, block.offset % block_alignment(r.bytes, r.is_mutable) != 0 ||
                                                 extent == nullptr || extent->owner != session || extent->is_taken ||
                                                 overlaps_block(block));
  }
  if (!r.by_name) return;
  const bool is_taken = names_.contains(r.name);
  errors.must(ErrorCode::kExists, is_taken && !r.overwrite);
  errors.must(ErrorCode::kOutOfMemory, !is_taken && names_.size() >= store_->options().max_tensors);
}

// A limit that is reached makes the broker reclaim before it refuses.
void Model::check_quota(std::uint64_t session, const Request& r, Circumstances how, Errors& errors) {
  const auto exceeded = [&] {
    const auto replaced = r.by_name ? names_.find(r.name) : names_.end();
    return exceeds_tensors(session, replaced != names_.end() ? replaced->second : kNoEntry) ||
           exceeds(session, static_cast<std::int64_t>(heap_record_bytes(r.name.size(), r.header.size())), true);
  };
  if (!exceeded()) return;
  errors.may(ErrorCode::kQuota);
  std::map<EntryId, ModelEntry> freed;
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto entry = at++;
    if (!entry->second.is_live() && !is_there(entry->first, entry->second.generation)) {
      freed.insert(entries_.extract(entry));
    }
  }
  beyond_quota(errors, how.alone && exceeded());
  entries_.merge(freed);
}

void Model::answered_publish(std::uint64_t session, const Request& r, const schema::ReplyItem& reply,
                             Circumstances how) {
  Errors errors(how.scarce);
  const bool has_bad_name = r.by_name && !is_name(r.name);
  errors.must(ErrorCode::kInvalidArgument, has_bad_name);
  const ModelSession::Result* const before = has_bad_name ? nullptr : repeated(session, r, errors);
  if (before == nullptr && !has_bad_name) {
    check_publication(session, r, errors);
    check_quota(session, r, how, errors);
  }
  if (!errors.judge(reply)) return;
  const schema::Published& published = *reply.body_as_Published();
  if (before != nullptr) {
    require(published.generation() == before->value, "a repeated publication has its first result", r.sequence);
  } else {
    publish(session, r);
    require(published.generation() == entries_.at(r.entry).generation, "versions go up one by one", r.entry);
  }
  if (published.spare() != kNoEntry) return add_spare(session, published.spare());
  require(how.scarce || sessions_.at(session).spares.size() >= broker::Store::kMaxSpares,
          "a publication is answered with another spare", session);
}

void Model::publish(std::uint64_t session, const Request& r) {
  const std::uint64_t generation = next_generation_++ << 1 | (r.by_name ? 1 : 0);
  sessions_.at(session).spares.erase(r.entry);
  ModelEntry entry{.generation = generation,
                   .name = r.name,
                   .is_bundle = r.is_bundle,
                   .publisher = session,
                   .payer = sessions_.at(session).uid,
                   .block = {},
                   .data_bytes = r.bytes,
                   .record_bytes = heap_record_bytes(r.name.size(), r.header.size()),
                   .seed = r.seed};
  if (r.bytes > 0) entry.block = {r.block_offset, padded_block_bytes(r.bytes, r.is_mutable)};
  if (r.by_name) {
    if (const auto at = names_.find(r.name); at != names_.end()) retire(at->second);
    names_[r.name] = r.entry;
    note_event(EventType::kPublish, version_of(generation), r.name);
  }
  entries_[r.entry] = std::move(entry);
  note_result(session, r.sequence, generation);
}

void Model::retire(EntryId id) {
  ModelEntry& entry = entries_.at(id);
  names_.erase(entry.name);
  entry.generation = retired(entry.generation);
}

void Model::answered_delete(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors) {
  const bool has_bad_name = !is_name(r.name);
  errors.must(ErrorCode::kInvalidArgument, has_bad_name);
  const ModelSession::Result* const before = has_bad_name ? nullptr : repeated(session, r, errors);
  const auto at = names_.find(r.name);
  if (before == nullptr) {
    const bool is_other = at == names_.end() || entries_.at(at->second).generation != r.generation;
    errors.must(ErrorCode::kNotFound, is_other);
  }
  const bool went_well = errors.judge(reply);
  if (!went_well && static_cast<ErrorCode>(reply.error()) == ErrorCode::kNotFound && at != names_.end()) {
    require(reply.body_as_Count() != nullptr && reply.body_as_Count()->value() == entries_.at(at->second).generation,
            "who deletes what was replaced is told the present version", at->second);
  }
  if (!went_well || before != nullptr) return;
  retire(at->second);
  note_event(EventType::kDelete, version_of(r.generation), r.name);
  note_result(session, r.sequence, r.generation);
}

// ---------------------------------------------------------------- memory

void Model::grant_begun(std::uint64_t session, std::uint64_t bytes) {
  require(lost_sessions() || !exceeds(session, static_cast<std::int64_t>(round_up_to_page(bytes)), false),
          "no session or user gets memory beyond its limit", session);
  grants_.push_back({session, round_up_to_page(bytes)});
  observe();
  require(used() <= store_->options().capacity, "no more is granted than the capacity", session);
}

void Model::answered_grant(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Circumstances how) {
  Errors errors(how.scarce);
  const std::uint64_t bytes = round_up_to_page(r.bytes);
  if (how.was_begun) {
    grants_.erase(std::find(grants_.begin(), grants_.end(), ModelGrant{session, bytes}));
    errors.must(ErrorCode::kNotFound, !sessions_.contains(session));
  } else {
    errors.must(ErrorCode::kInvalidArgument, bytes == 0);
    errors.must(ErrorCode::kOutOfMemory, r.bytes > store_->options().capacity);
    beyond_quota(errors, exceeds(session, static_cast<std::int64_t>(bytes), false));
    observe();
    errors.may(ErrorCode::kOutOfMemory, !has_room_for(bytes));
  }
  if (!errors.judge(reply)) return;
  const schema::Granted& granted = *reply.body_as_Granted();
  const Range range{granted.offset(), granted.bytes()};
  require(range.bytes == bytes && range.offset % kPageSize == 0 && range.offset >= kPageSize &&
              range.end() <= store_->options().arena_bytes,
          "a grant is of as many pages of the arena as were asked for", granted.extent());
  require(!overlaps_block(range), "no pages are granted that a tensor has", granted.extent());
  for (const auto& [id, extent] : extents_) {
    require(id != granted.extent() && !extent.range.overlaps(range), "no pages are granted twice", id);
    require(extent.owner != session || extent.slot != granted.slot(), "extents have a state word each", id);
  }
  require(Kernel::current()->has_pages(store_->arena().name(), range.offset, range.bytes), "what is granted has memory",
          granted.extent());
  extents_[granted.extent()] = {.owner = session, .slot = granted.slot(), .range = range};
  require(used() <= store_->options().capacity, "no more is granted than the capacity", session);
}

bool Model::may_be_cut(std::uint32_t id, std::uint64_t keep) {
  if (keep == 0) return true;
  const Range& range = extents_.at(id).range;
  if (keep % kPageSize != 0 || keep >= range.bytes) return false;
  const Range end{range.offset + keep, range.bytes - keep};
  if (overlaps_block(end)) observe_freed();
  observe_taken();
  return !overlaps_block(end);
}

void Model::answered_give_back(std::uint64_t session, const Request& r, const schema::ReplyItem& reply,
                               Errors& errors) {
  const std::set<std::uint32_t> distinct(r.extents.begin(), r.extents.end());
  bool is_sound = distinct.size() == r.extents.size() && (r.keeps.empty() || r.keeps.size() == r.extents.size());
  for (std::size_t i = 0; i < r.extents.size() && is_sound; ++i) {
    is_sound = extents_.contains(r.extents[i]) && extents_.at(r.extents[i]).owner == session &&
               may_be_cut(r.extents[i], r.keeps.empty() ? 0 : r.keeps[i]);
  }
  errors.must(ErrorCode::kInvalidArgument, !is_sound);
  if (!errors.judge(reply)) return;
  for (std::size_t i = 0; i < r.extents.size(); ++i) {
    const std::uint64_t keep = r.keeps.empty() ? 0 : r.keeps[i];
    ModelExtent& extent = extents_.at(r.extents[i]);
    if (keep == 0) {
      release_extent(r.extents[i]);
    } else if (!extent.is_taken) {
      extent.range.bytes = keep;
    }
  }
}

void Model::add_spare(std::uint64_t session, EntryId entry) {
  const auto has_it = [entry](const auto& each) { return each.second.spares.contains(entry); };
  // What was freed, and who was found dead, just before, for this.
  if (entries_.contains(entry)) observe_freed();
  if (std::any_of(sessions_.begin(), sessions_.end(), has_it)) observe_sessions();
  require(!entries_.contains(entry), "a spare is no published entry", entry);
  require(std::none_of(sessions_.begin(), sessions_.end(), has_it), "a spare is one session's", entry);
  sessions_.at(session).spares.insert(entry);
}

void Model::answered_spares(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors) {
  if (!errors.judge(reply)) return;
  const auto& entries = *reply.body_as_SpareEntries()->entries();
  for (const EntryId entry : entries) add_spare(session, entry);
  const std::size_t have = sessions_.at(session).spares.size();
  require(entries.size() <= r.count && have <= broker::Store::kMaxSpares, "no more spares are given than asked for",
          session);
}

void Model::answered_grow(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors) {
  const std::uint32_t had = sessions_.at(session).lease_cells;
  const auto wanted = static_cast<std::uint32_t>(round_up(std::min(r.count, kLeasesLimit), kPageSize / sizeof(Word)));
  const std::uint32_t more = wanted > had ? wanted - had : 0;
  beyond_quota(errors, more > 0 && exceeds(session, static_cast<std::int64_t>(more * sizeof(Word)), false));
  // Those of its heirs grow after its own, and may fail where its own did not.
  errors.may(ErrorCode::kQuota, more > 0);
  const bool went_well = errors.judge(reply);
  if (went_well) require(reply.body_as_Count()->value() == std::max(had, wanted), "leases grow as asked for", session);
  for (auto& [id, other] : sessions_) {
    if (id != session && other.parent != session) continue;
    const auto cells = static_cast<std::uint32_t>(store_->session_mapping(id).control().leases_committed.load());
    require(cells == other.lease_cells || cells == wanted, "leases grow as asked for", id);
    require(!went_well || cells >= wanted, "an heir has room for its parent's leases", id);
    other.lease_cells = cells;
  }
}

// ---------------------------------------------------------------- keeping

void Model::expire_pins() {
  std::erase_if(pins_, [](const ModelPin& pin) { return pin.deadline_ns <= now(); });
}

bool Model::is_there(EntryId id, std::uint64_t generation) const {
  const Entry& entry = store_->catalog().entry(id);
  return EntryState::unpack(entry.state.load()).phase == EntryPhase::kUsed &&
         retired(entry.generation.load()) == retired(generation);
}

// What was retired and nobody held may have been freed before the request, or only after it.
void Model::check_denoted(EntryId id, std::uint64_t generation, Errors& errors) const {
  const auto at = entries_.find(id);
  const bool was_there = at != entries_.end() && retired(at->second.generation) == retired(generation);
  errors.must(ErrorCode::kNotFound, !was_there);
  errors.may(ErrorCode::kNotFound, was_there && !is_there(id, generation));
}

void Model::answered_pin(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors) {
  EntryId id = r.entry;
  std::uint64_t generation = r.generation;
  if (r.by_name && r.token == 0) {
    errors.must(ErrorCode::kInvalidArgument, !is_name(r.name));
    const auto at = names_.find(r.name);
    errors.must(ErrorCode::kNotFound, at == names_.end());
    id = at != names_.end() ? at->second : kNoEntry;
    generation = at != names_.end() ? entries_.at(id).generation : 0;
  } else {
    check_denoted(id, generation, errors);
  }
  if (!errors.judge(reply)) return;
  const schema::Pinned& pinned = *reply.body_as_Pinned();
  require(pinned.entry() == id && pinned.generation() == entries_.at(id).generation, "what is pinned is what was meant",
          id);
  if (r.token == 0) {
    expire_pins();
  } else {
    std::erase_if(pins_,
                  [&](const ModelPin& pin) { return pin.session == 0 && pin.entry == id && pin.token == r.token; });
  }
  add_pin({.session = session,
           .entry = id,
           .generation = retired(generation),
           .deadline_ns = now() + broker::Store::kPinSeconds * kSecond});
}

void Model::answered_unpin(std::uint64_t session, const Request& r) {
  const auto at = std::find_if(pins_.begin(), pins_.end(), [&](const ModelPin& pin) {
    return pin.session == session && pin.entry == r.entry && pin.generation == retired(r.generation);
  });
  if (at != pins_.end()) pins_.erase(at);
}

void Model::answered_send(const Request& r, const schema::ReplyItem& reply, Errors& errors) {
  errors.must(ErrorCode::kInvalidArgument, r.token == 0);
  check_denoted(r.entry, r.generation, errors);
  if (!errors.judge(reply)) return;
  expire_pins();
  const bool is_known = std::any_of(pins_.begin(), pins_.end(), [&](const ModelPin& pin) {
    return pin.session == 0 && pin.entry == r.entry && pin.token == r.token;
  });
  if (is_known) return;
  add_pin({.session = 0,
           .entry = r.entry,
           .generation = retired(r.generation),
           .deadline_ns = now() + broker::Store::kSentSeconds * kSecond,
           .token = r.token});
}

void Model::answered_holders(const Request& r, const schema::ReplyItem& reply, Errors& errors) {
  check_denoted(r.entry, r.generation, errors);
  if (!errors.judge(reply)) return;
  const auto holders = std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& session) {
    const auto& leases = session.second.leases;
    return std::any_of(leases.begin(), leases.end(), [&](const auto& lease) { return lease.second == r.entry; });
  });
  require(reply.body_as_Count()->value() == static_cast<std::uint64_t>(holders), "holders are those who lease",
          r.entry);
}

}  // namespace tensorbroker::simulation
