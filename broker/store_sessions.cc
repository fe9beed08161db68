#include <algorithm>
#include <string>
#include <utility>

#include "broker/state.h"
#include "broker/store.h"

namespace tensorbroker::broker {

void Store::State::write_record(const Session& session) {
  SessionRecord& record = catalog.session(session.record);
  record.pid.store(static_cast<std::uint64_t>(session.pid), std::memory_order_relaxed);
  record.uid.store(session.uid, std::memory_order_relaxed);
  record.parent.store(session.parent, std::memory_order_relaxed);
  record.process.store(session.process, std::memory_order_relaxed);
  record.origin.store(session.origin, std::memory_order_relaxed);
  for (auto& result : record.window) {
    result.sequence.store(0, std::memory_order_relaxed);
    result.value.store(0, std::memory_order_relaxed);
  }
  record.id.store(session.id, std::memory_order_seq_cst);
}

std::uint32_t Store::State::take_slot(Session& session) {
  if (!session.free_slots.empty()) {
    const std::uint32_t slot = session.free_slots.back();
    session.free_slots.pop_back();
    return slot;
  }
  if (session.slots_used == kExtentStatesLimit) {
    throw OutOfMemoryError("session " + std::to_string(session.id) + " has " + std::to_string(kExtentStatesLimit) +
                           " extents, which is the most; delete tensors that are no longer needed");
  }
  if (session.slots_used == session.slots_committed) {
    SegmentFile(session.segment.segment().name())
        .reserve({session.segment.extent_states_offset() + session.slots_committed * sizeof(Word), kPageSize});
    session.slots_committed += kPageSize / sizeof(Word);
  }
  return session.slots_used++;
}

void Store::State::forget(std::uint64_t id) {
  const auto at = sessions.find(id);
  if (hooks.unmapping) hooks.unmapping(at->second.segment);
  unlink_segment(at->second.segment.segment().name());
  sessions.erase(at);
}

std::uint64_t Store::add_session(uid_t uid, pid_t pid, std::uint64_t parent) {
  State& s = *state_;
  s.check_open();
  if (s.sessions.size() >= s.options.max_sessions) {
    throw QuotaError("the instance has " + std::to_string(s.sessions.size()) + " sessions, as many as its limit of " +
                     std::to_string(s.options.max_sessions) + "; raise --max-sessions");
  }
  s.check_sessions(uid);
  if (s.free_records.empty()) {
    const std::uint64_t before = s.records.committed();
    s.records.ensure(s.file, before + 1);
    for (std::uint64_t slot = s.records.committed(); slot > before; --slot) {
      s.free_records.push_back(static_cast<std::uint32_t>(slot - 1));
    }
  }
  Word& next_id = s.catalog.root().next_id;
  const std::uint64_t id = next_id.load(std::memory_order_relaxed);
  next_id.store(id + 1, std::memory_order_seq_cst);

  Session session;
  session.id = id;
  session.record = s.free_records.back();
  session.uid = uid;
  session.pid = pid;
  session.parent = parent;
  session.origin = parent;
  session.segment = SessionSegment::create(s.name, id, s.catalog.segment().instance());
  s.free_records.pop_back();
  s.write_record(session);
  const auto [at, added] = s.sessions.emplace(id, std::move(session));
  s.accounts.open(id, uid);
  if (s.hooks.mapped) s.hooks.mapped(at->second.segment);
  if (parent == 0) return id;
  try {  // room for every lease that its parent may copy
    grow_leases(id, s.session(parent).leases_committed);
  } catch (...) {
    remove_session(id);
    throw;
  }
  return id;
}

void Store::remove_session(std::uint64_t id) {
  State& s = *state_;
  const auto at = s.sessions.find(id);
  if (at == s.sessions.end()) return;
  Session& session = at->second;
  for (const EntryId spare : session.spares) s.entries.release(s.catalog, spare);
  s.pins.remove_session(s.catalog, id);
  while (!session.extents.empty()) s.release_extent(*session.extents.begin(), Warmth::kWarm);
  s.accounts.discharge(id, s.use_of_leases(session));
  s.accounts.close(id);
  s.catalog.session(session.record).id.store(0, std::memory_order_seq_cst);
  s.free_records.push_back(session.record);
  s.forget(id);
  s.reclaim();
}

void Store::promote_heir(std::uint64_t id, pid_t pid) {
  Session& session = state_->session(id);
  session.parent = 0;
  session.pid = pid;
  SessionRecord& record = state_->catalog.session(session.record);
  record.pid.store(static_cast<std::uint64_t>(pid), std::memory_order_relaxed);
  record.parent.store(0, std::memory_order_seq_cst);
}

void Store::identify(std::uint64_t id, std::uint64_t process) {
  Session& session = state_->session(id);
  session.process = process;
  state_->catalog.session(session.record).process.store(process, std::memory_order_seq_cst);
}

bool Store::has_session(std::uint64_t id) const noexcept { return state_->sessions.contains(id); }

std::vector<std::uint64_t> Store::sessions() const {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, session] : state_->sessions) ids.push_back(id);
  return ids;
}

std::vector<std::uint64_t> Store::heirs_of(std::uint64_t parent) const {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, session] : state_->sessions) {
    if (parent != 0 && session.parent == parent) ids.push_back(id);
  }
  return ids;
}

SessionInfo Store::session_info(std::uint64_t id) const {
  const Session& session = state_->session(id);
  return {.id = id,
          .pid = session.pid,
          .uid = session.uid,
          .parent = session.parent,
          .charged = session.charged,
          .process = session.process,
          .origin = session.origin};
}

SessionSegment& Store::session_mapping(std::uint64_t id) { return state_->session(id).segment; }

std::uint32_t Store::grow_leases(std::uint64_t id, std::uint32_t cells) {
  Session& session = state_->session(id);
  constexpr auto kCellsInPage = static_cast<std::uint32_t>(kPageSize / sizeof(Word));
  const auto wanted = static_cast<std::uint32_t>(round_up(std::min(cells, kLeasesLimit), kCellsInPage));
  if (wanted <= session.leases_committed) return session.leases_committed;
  const std::uint64_t bytes = (wanted - session.leases_committed) * sizeof(Word);
  // Heirs first, so that whatever fails they have room for every lease that their parent may copy.
  for (const std::uint64_t heir : heirs_of(id)) grow_leases(heir, wanted);
  state_->check_quota(session, bytes);
  SegmentFile(session.segment.segment().name())
      .reserve({session.segment.leases_offset() + session.leases_committed * sizeof(Word), bytes});
  state_->accounts.discharge(id, state_->use_of_leases(session));
  session.leases_committed = wanted;
  state_->accounts.charge(id, state_->use_of_leases(session));
  session.segment.control().leases_committed.store(wanted, std::memory_order_release);
  return wanted;
}

void Store::reconcile(std::uint64_t id, std::span<const std::uint32_t> extents, std::span<const EntryId> spares) {
  State& s = *state_;
  Session& session = s.session(id);
  const auto refuse = [id](const std::string& what) {
    throw RuntimeError("session " + std::to_string(id) + " lists " + what + ", which is not its own");
  };
  for (const std::uint32_t extent : extents) {
    if (!session.extents.contains(extent)) refuse("extent " + std::to_string(extent));
  }
  const std::set<std::uint32_t> extents_kept(extents.begin(), extents.end());
  for (const std::uint32_t extent : std::set<std::uint32_t>(session.extents)) {
    if (!extents_kept.contains(extent)) s.release_extent(extent, Warmth::kWarm);
  }
  // A listed spare that is none any more was published with: the client does not know it yet, the reply was lost.
  const std::set<EntryId> spares_kept(spares.begin(), spares.end());
  for (auto spare = session.spares.begin(); spare != session.spares.end();) {
    if (spares_kept.contains(*spare)) {
      ++spare;
      continue;
    }
    s.entries.release(s.catalog, *spare);
    spare = session.spares.erase(spare);
  }
}

std::vector<EntryId> Store::grant_spares(std::uint64_t id, std::uint32_t count) {
  std::vector<EntryId> granted;
  try {
    while (granted.size() < count) {
      const EntryId spare = grant_spare(id);
      if (spare == kNoEntry) break;
      granted.push_back(spare);
    }
  } catch (const OutOfMemoryError&) {
    if (granted.empty()) throw;
  }
  return granted;
}

EntryId Store::grant_spare(std::uint64_t id) {
  State& s = *state_;
  s.check_open();
  Session& session = s.session(id);
  if (session.spares.size() >= kMaxSpares) return kNoEntry;
  const EntryId spare = s.entries.take_spare(s.catalog, s.file, id);
  session.spares.insert(spare);
  return spare;
}

}  // namespace tensorbroker::broker
