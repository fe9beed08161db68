// Extents: what the broker grants to this session, and what goes back to it.

#include <exception>
#include <utility>

#include "client/attachment.h"

namespace tensorbroker {

Block Attachment::allocate(std::uint64_t nbytes, bool is_mutable, const Limit& limit) {
  check_not_ended();
  return allocator_.allocate(nbytes, is_mutable, limit);
}

void Attachment::discard(const Block& block) { allocator_.discard(block); }

// An extent counts as this session's from when it is on granting_: a reconnect lists it. One whose grant came by a
// connection that a reconnect has put behind is void, and asked for again.
OwnExtent Attachment::grant(std::uint64_t bytes, const Limit& limit) {
  OwnExtent own;
  for (;;) {
    const GrantedExtent granted = calls_->grant(bytes, limit);
    own = {.id = granted.id,
           .offset = granted.offset,
           .bytes = granted.bytes,
           .data = nullptr,
           .state = &session_->extent_state(granted.slot)};
    const std::lock_guard held(state_);
    if (granted.epoch <= void_epoch_) continue;
    granting_.push_back(own);
    break;
  }
  try {
    own.data = arena_->map_extent(own.offset, own.bytes);
  } catch (...) {
    const std::uint64_t epoch = channel_->last_epoch();
    placed(own);
    calls_->give_back({own.id}, {}, epoch);
    throw;
  }
  arena_->populate_extent(own.data, own.bytes, *own.state);
  return own;
}

// The allocator has it on its own list now.
void Attachment::placed(const OwnExtent& own) {
  const std::lock_guard held(state_);
  std::erase_if(granting_, [&](const OwnExtent& listed) { return listed.id == own.id; });
}

void Attachment::give_back(const std::vector<GivenBack>& given, std::uint64_t epoch) noexcept {
  for (const GivenBack& g : given) {
    if (g.keep == 0) {
      arena_->unmap_extent(g.extent.data, g.extent.bytes);
    } else {
      arena_->shorten_extent(g.extent.data, g.extent.offset, g.extent.bytes, g.keep);
    }
  }
  try {
    std::vector<std::uint32_t> whole, cut;
    std::vector<std::uint64_t> keep;
    for (const GivenBack& g : given) {
      (g.keep == 0 ? whole : cut).push_back(g.extent.id);
      if (g.keep != 0) keep.push_back(g.keep);
    }
    if (!whole.empty()) calls_->give_back(whole, {}, epoch);
    if (!cut.empty()) calls_->give_back(cut, keep, epoch);
  } catch (const std::exception&) {
    channel_->drop(channel_->epoch());  // the next Hello does not list what went whole
  }
}

}  // namespace tensorbroker
