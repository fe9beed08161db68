#include "client/idle_extents.h"

namespace tensorbroker {

void IdleExtents::set(std::uint64_t offset, std::uint64_t bytes) {
  const auto at = noted_.find(offset);
  if (at != noted_.end()) {
    by_due_.erase({at->second.due, offset});
    noted_.erase(at);
  }
  if (bytes == 0) return;
  const std::uint64_t due = placed_ + kTimes * bytes;
  noted_[offset] = {.bytes = bytes, .due = due};
  by_due_.insert({due, offset});
}

std::optional<IdleExtents::Idle> IdleExtents::due(std::uint64_t unoccupied, std::uint64_t occupied) const {
  if (unoccupied <= occupied / kPart + std::max(kLeast, longest_) || by_due_.empty()) return std::nullopt;
  const auto [due, offset] = *by_due_.begin();
  if (due > placed_) return std::nullopt;
  return Idle{.offset = offset, .bytes = noted_.at(offset).bytes};
}

}  // namespace tensorbroker
