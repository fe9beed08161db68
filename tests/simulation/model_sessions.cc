// Whether the answers of a handshake are ones that it can have, and what they change.

#include <algorithm>
#include <map>
#include <set>

#include "proto/limits.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/model.h"
#include "tests/simulation/violation.h"

namespace tensorbroker::simulation {

void Model::answered_hello(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors) {
  const Quotas& limits = store_->options().quotas;
  errors.must(ErrorCode::kVersionMismatch, !r.is_sound);
  if (r.session == 0) {
    const auto of_user = std::count_if(sessions_.begin(), sessions_.end(),
                                       [](const auto& known) { return known.second.uid == Kernel::current()->uid; });
    beyond_quota(errors,
                 sessions_.size() >= store_->options().max_sessions ||
                     (limits.user_sessions != 0 && static_cast<std::uint64_t>(of_user) >= limits.user_sessions));
    errors.judge(reply);
    return observe_sessions();
  }
  const auto at = sessions_.find(session);
  errors.must(ErrorCode::kNotFound, at == sessions_.end());
  const auto is_own = [&](std::uint32_t id) { return extents_.contains(id) && extents_.at(id).owner == session; };
  if (at != sessions_.end()) {
    errors.must(ErrorCode::kRuntime, !Kernel::current()->is_locked_by_client(at->second.segment));
    errors.must(ErrorCode::kRuntime, !std::all_of(r.extents.begin(), r.extents.end(), is_own));
  }
  if (!errors.judge(reply)) return;
  require(reply.body_as_Welcome()->session() == session, "a session is resumed as what it was", session);
  const std::set<std::uint32_t> extents(r.extents.begin(), r.extents.end());
  for (const auto& [id, extent] : std::map<std::uint32_t, ModelExtent>(extents_)) {
    if (extent.owner == session && !extents.contains(id)) release_extent(id);
  }
  const std::set<EntryId> spares(r.spares.begin(), r.spares.end());
  std::erase_if(at->second.spares, [&](EntryId spare) { return !spares.contains(spare); });
}

void Model::answered_locked(std::uint64_t session, const Request& /*r*/, const schema::ReplyItem& reply,
                            Errors& errors) {
  errors.must(ErrorCode::kRuntime, !Kernel::current()->is_locked_by_client(sessions_.at(session).segment));
  if (!errors.judge(reply)) return;
  for (const EntryId entry : *reply.body_as_Attached()->spares()) add_spare(session, entry);
}

}  // namespace tensorbroker::simulation
