// What the broker chose to do: which sessions, extents and entries it made or took away, and whether it may have.

#include <algorithm>

#include "tests/simulation/kernel.h"
#include "tests/simulation/model.h"
#include "tests/simulation/violation.h"

namespace tensorbroker::simulation {

void Model::observe() {
  observe_sessions();
  observe_freed();
  observe_taken();
}

void Model::observe_sessions() {
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    auto& [id, session] = *at++;
    if (store_->has_session(id)) {
      const std::uint64_t parent = store_->session_info(id).parent;
      require(parent == session.parent || parent == 0, "an heir has one parent", id);
      session.parent = parent;
      continue;
    }
    require(!Kernel::current()->is_locked_by_client(session.segment), "nobody who lives is revoked", id);
    remove_session(id);
  }
  if (store_->catalog().root().next_id.load() == last_session_ + 1) return;
  for (const std::uint64_t id : store_->sessions()) {
    if (!sessions_.contains(id)) add_session(id);
  }
  last_session_ = store_->catalog().root().next_id.load() - 1;
}

void Model::add_session(std::uint64_t id) {
  require(id > last_session_, "ids are never used twice", id);
  const broker::SessionInfo info = store_->session_info(id);
  ModelSession session;
  session.uid = info.uid;
  session.parent = info.parent;
  session.segment = store_->session_mapping(id).segment().name();
  const uid_t uid = info.parent != 0 ? sessions_.at(info.parent).uid : Kernel::current()->uid;
  require(info.uid == uid, "a session belongs to the user who asked for it", id);
  if (info.parent != 0) session.lease_cells = sessions_.at(info.parent).lease_cells;
  sessions_.emplace(id, std::move(session));
}

void Model::remove_session(std::uint64_t id) {
  auto& leases = sessions_.at(id).leases;
  while (!leases.empty()) release(id, leases.begin()->first);
  std::erase_if(pins_, [id](const ModelPin& pin) { return pin.session == id; });
  std::erase_if(extents_, [id](const auto& extent) { return extent.second.owner == id; });
  sessions_.erase(id);
}

void Model::release_extent(std::uint32_t id) { extents_.erase(id); }

void Model::observe_taken() {
  for (auto& [id, extent] : extents_) {
    if (extent.is_taken) continue;
    const Word& state = store_->session_mapping(extent.owner).extent_state(extent.slot);
    if (state.load() != static_cast<std::uint64_t>(ExtentState::kTaken)) continue;
    require(!overlaps_block(extent.range), "no extent is taken that has a tensor", id);
    extent.is_taken = true;
  }
}

void Model::observe_freed() {
  std::set<std::pair<std::uint64_t, std::uint64_t>> freed;  // block, generation
  std::set<std::uint64_t> of_extents;                       // blocks of those that lie in an extent
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto& [id, entry] = *at;
    if (entry.is_live() || is_there(id, entry.generation)) {
      ++at;
      continue;
    }
    require(!is_held(id), "what a lease or a pin names is not freed", id);
    if (!entry.block.empty()) {
      freed.emplace(entry.block.offset, entry.generation);
      if (extent_of(entry.block) != nullptr) of_extents.insert(entry.block.offset);
    }
    at = entries_.erase(at);
  }
  observe_returns(std::move(freed), of_extents);
}

// A block in an extent goes back to its owner once, when its entry is freed.
void Model::observe_returns(std::set<std::pair<std::uint64_t, std::uint64_t>> freed,
                            const std::set<std::uint64_t>& of_extents) {
  std::size_t given = 0;
  for (auto& [id, session] : sessions_) {
    const SessionSegment& segment = store_->session_mapping(id);
    const std::uint64_t head = segment.control().returns_head.load();
    for (; session.returns < head; ++session.returns) {
      const BlockReturn& block = segment.block_return(session.returns);
      const std::uint64_t offset = block.block_offset.load();
      require(freed.erase({offset, block.generation.load()}) == 1, "what is returned was freed just now", offset);
      given += of_extents.contains(offset) ? 1 : 0;
    }
    require(session.returns == head, "returns are given one by one", id);
  }
  require(given >= of_extents.size(), "a freed block goes back to its extent's owner", given);
}

bool Model::waits_for_ring(const ModelEntry& entry) const {
  const ModelExtent* const extent = entry.block.empty() ? nullptr : extent_of(entry.block);
  if (extent == nullptr) return false;
  const SessionControl& control = store_->session_mapping(extent->owner).control();
  return control.returns_head.load() - control.returns_tail.load() >= kReturnsLimit;
}

void Model::require_reclaimed() const {
  for (const auto& [id, entry] : entries_) {
    if (entry.is_live() || leased_.contains(id) || waits_for_ring(entry)) continue;
    const bool is_pinned =
        std::any_of(pins_.begin(), pins_.end(), [id = id](const ModelPin& pin) { return pin.entry == id; });
    require(is_pinned, "what nobody holds is freed when the broker is told", id);
  }
}

}  // namespace tensorbroker::simulation
