#include "client/block_allocator.h"

#include <algorithm>
#include <bit>
#include <string>

#include "client/block_extent.h"
#include "proto/limits.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr std::uint64_t kFirstSmallExtent = 256 << 10;
constexpr std::uint64_t kUsualSmallExtent = 1 << 20;
constexpr std::uint64_t kLargestSmallExtent = 8 << 20;
// An extent for small blocks goes back only when all of them are gone, and so should be a small part of what they have;
// but a million tensors should not need thousands of extents.
constexpr std::uint64_t kSmallExtentPart = 64;
// A large block does not begin to fill a free run that is so many times as long: the run was somebody's extent, and its
// next block of that size would need fresh pages.
constexpr std::uint64_t kSparingFactor = 4;

std::uint64_t word(ExtentState state) { return static_cast<std::uint64_t>(state); }

}  // namespace

BlockAllocator::BlockAllocator(Source source, std::uint64_t large) : source_(std::move(source)), large_(large) {}

BlockAllocator::~BlockAllocator() = default;

void BlockAllocator::bind(std::uint64_t session, SessionControl* control, const BlockReturn* ring) {
  session_ = session;
  control_ = control;
  ring_ = ring;
}

// ---------------------------------------------------------------- allocating

Block BlockAllocator::allocate(std::uint64_t bytes, bool is_mutable, const Limit& limit) {
  if (bytes == 0) return {};
  const std::uint64_t padded = padded_block_bytes(bytes, is_mutable);
  if (padded < bytes) throw OutOfMemoryError("no machine has " + std::to_string(bytes) + " bytes");
  const Request request{padded, block_alignment(bytes, is_mutable), padded >= large_};
  if (auto block = place_at_hand(request)) return *block;
  const std::uint64_t least = round_up_to_page(padded);
  const std::uint64_t wanted = request.is_large ? least : std::max(least, next_small_extent());
  try {
    try {
      return grant_and_place(request, wanted, limit);
    } catch (const OutOfMemoryError&) {
      if (wanted == least) throw;
      return grant_and_place(request, least, limit);
    }
  } catch (const OutOfMemoryError&) {
    const std::lock_guard held(mutex_);
    collect_locked();
    if (auto block = place_anywhere(request)) return *block;
    throw;
  }
}

// In what this session has. What it gives up on the way goes back before it asks for more, so that the broker has it.
std::optional<Block> BlockAllocator::place_at_hand(const Request& request) {
  std::unique_lock held(mutex_);
  collect_locked();
  idle_.placed(request.bytes);
  std::optional<Block> block = place(request);
  give_up_idle(request.bytes);
  if (!block) drop_taken();
  const bool gives_back = !dropped_.empty();
  held.unlock();
  if (gives_back) give_back_dropped();
  return block;
}

std::uint64_t BlockAllocator::next_small_extent() const {
  const std::lock_guard held(mutex_);
  const std::uint64_t bytes = std::bit_floor(small_extent_bytes_);
  if (bytes < kUsualSmallExtent) return std::max(bytes * 2, kFirstSmallExtent);
  return std::clamp(bytes / kSmallExtentPart, kUsualSmallExtent, kLargestSmallExtent);
}

Block BlockAllocator::grant_and_place(const Request& request, std::uint64_t bytes, const Limit& limit) {
  const OwnExtent granted = source_.grant(bytes, limit);
  std::unique_lock held(mutex_);
  Extent& extent = add_extent(granted, request.is_large);
  const auto [offset, length] = *extent.runs.begin();
  const Block block = occupy(extent, {length, offset}, offset, request.bytes);
  held.unlock();
  source_.placed(granted);
  return block;
}

std::optional<Block> BlockAllocator::place(const Request& request) {
  return place_in(request.is_large ? large_runs_ : small_runs_, request, true);
}

std::optional<Block> BlockAllocator::place_anywhere(const Request& request) {
  if (auto block = place_in(request.is_large ? large_runs_ : small_runs_, request, false)) return block;
  return place_in(request.is_large ? small_runs_ : large_runs_, request, false);
}

std::optional<Block> BlockAllocator::place_in(std::set<Run>& runs, const Request& request, bool sparing) {
  for (auto at = runs.lower_bound({request.bytes, 0}); at != runs.end();) {
    const Run run = *at++;
    const std::uint64_t start = round_up(run.second, request.alignment);
    if (start + request.bytes > run.second + run.first) continue;
    Extent& extent = extent_at(run.second);
    if (sparing && request.is_large && !extent.for_all && run.first / kSparingFactor > request.bytes)
      return std::nullopt;
    if (!claim(extent)) {
      drop(extent);  // with all its runs: begin again
      at = runs.lower_bound({request.bytes, 0});
      continue;
    }
    return occupy(extent, run, start, request.bytes);
  }
  return std::nullopt;
}

// Puts a block at `start` of the free run.
Block BlockAllocator::occupy(Extent& extent, Run run, std::uint64_t start, std::uint64_t bytes) {
  const auto [length, offset] = run;
  runs_of(extent).erase(run);
  extent.runs.erase(offset);
  if (start > offset) add_run(extent, offset, start - offset);
  if (start + bytes < offset + length) add_run(extent, start + bytes, offset + length - start - bytes);
  if (extent.for_all) reserved_free_ -= bytes;
  extent.occupied += bytes;
  ++extent.drafts;
  occupied_ += bytes;
  ++drafts_;
  blocks_[start] = {.bytes = bytes, .extent = &extent};
  note_idle(extent);
  return {.offset = start, .bytes = bytes, .data = extent.own.data + (start - extent.own.offset), .session = session_};
}

void BlockAllocator::reserve(std::uint64_t bytes, const Limit& limit) {
  {
    const std::lock_guard held(mutex_);
    collect_locked();
    drop_taken();
    bytes -= std::min(bytes, reserve_idle(bytes));
  }
  give_back_dropped();
  if (bytes == 0) return;
  const OwnExtent granted = source_.grant(round_up_to_page(bytes), limit);
  std::unique_lock held(mutex_);
  Extent& extent = add_extent(granted, true);
  extent.for_all = true;
  reserved_free_ += extent.free();
  unclaim(extent);
  held.unlock();
  source_.placed(granted);
}

// ---------------------------------------------------------------- what becomes of blocks

BlockAllocator::Blocks::iterator BlockAllocator::find_own(const Block& block) {
  if (block.bytes == 0 || block.session != session_) return blocks_.end();
  const auto at = blocks_.find(block.offset);
  return at != blocks_.end() && at->second.use == Use::kDraft ? at : blocks_.end();
}

void BlockAllocator::discard(const Block& block) {
  const std::lock_guard held(mutex_);
  const auto at = find_own(block);
  if (at == blocks_.end()) return;
  end_draft(at->second);
  free_block(at);
}

void BlockAllocator::published(const Block& block, std::uint64_t generation) {
  const std::lock_guard held(mutex_);
  const auto at = find_own(block);
  if (at == blocks_.end()) return;
  end_draft(at->second);
  at->second.use = Use::kPublished;
  at->second.generation = retired(generation);
  if (at->second.returned_early == retired(generation)) free_block(at);
}

void BlockAllocator::in_doubt(const Block& block, std::uint64_t floor) {
  const std::lock_guard held(mutex_);
  const auto at = find_own(block);
  if (at == blocks_.end()) return;
  end_draft(at->second);
  at->second.use = Use::kInDoubt;
  at->second.generation = floor;
  if (at->second.returned_early >= floor) free_block(at);
}

// What is published is on the broker's books: an extent without drafts may be taken as soon as nothing published lies
// in it, whether or not its owner has looked at its returns by then.
void BlockAllocator::end_draft(const Placed& placed) {
  --drafts_;
  if (--placed.extent->drafts == 0 && !placed.extent->shortening) unclaim(*placed.extent);
}

bool BlockAllocator::collect_returns() {
  const std::lock_guard held(mutex_);
  return collect_locked();
}

bool BlockAllocator::collect_locked() {
  if (control_ == nullptr) return false;
  std::uint64_t tail = control_->returns_tail.load(std::memory_order_relaxed);
  const std::uint64_t head = control_->returns_head.load(std::memory_order_acquire);
  if (head == tail) return false;
  const bool was_full = head - tail >= kReturnsLimit;
  if (head - tail > kReturnsLimit) tail = head - kReturnsLimit;  // never, with a sound broker
  for (; tail != head; ++tail) {
    const BlockReturn& given = ring_[tail % kReturnsLimit];
    accept_return(given.block_offset.load(std::memory_order_relaxed), given.generation.load(std::memory_order_relaxed));
  }
  control_->returns_tail.store(tail, std::memory_order_seq_cst);
  if (was_full && source_.ring_was_full) source_.ring_was_full();
  return was_full;
}

// A return names block and generation, and counts once: a broker that died between giving it and noting that it did so
// leaves it to its successor to give again.
void BlockAllocator::accept_return(std::uint64_t offset, std::uint64_t generation) {
  const auto at = blocks_.find(offset);
  if (at == blocks_.end()) return;
  Placed& placed = at->second;
  switch (placed.use) {
    case Use::kDraft:
      placed.returned_early = retired(generation);
      break;
    case Use::kPublished:
      if (placed.generation == retired(generation)) free_block(at);
      break;
    case Use::kInDoubt:
      if (retired(generation) >= placed.generation) free_block(at);
      break;
  }
}

void BlockAllocator::free_block(Blocks::iterator block) {
  Extent& extent = *block->second.extent;
  const std::uint64_t bytes = block->second.bytes;
  const std::uint64_t offset = block->first;
  blocks_.erase(block);
  add_run(extent, offset, bytes);
  extent.occupied -= bytes;
  occupied_ -= bytes;
  if (extent.for_all) reserved_free_ += bytes;
  note_idle(extent);
}

// ---------------------------------------------------------------- extents and their free runs

BlockAllocator::Extent& BlockAllocator::add_extent(const OwnExtent& granted, bool is_large) {
  auto made = std::make_unique<Extent>();
  made->own = granted;
  made->is_large = is_large;
  Extent& extent = *(extents_[granted.offset] = std::move(made));
  extent_bytes_ += granted.bytes;
  if (!is_large) small_extent_bytes_ += granted.bytes;
  add_run(extent, granted.offset, granted.bytes);
  return extent;
}

BlockAllocator::Extent& BlockAllocator::extent_at(std::uint64_t offset) const {
  return *std::prev(extents_.upper_bound(offset))->second;
}

std::set<BlockAllocator::Run>& BlockAllocator::runs_of(const Extent& extent) {
  return extent.is_large ? large_runs_ : small_runs_;
}

// Adds a free run, merged with its free neighbours.
void BlockAllocator::add_run(Extent& extent, std::uint64_t offset, std::uint64_t bytes) {
  std::set<Run>& runs = runs_of(extent);
  const auto after = extent.runs.find(offset + bytes);
  if (after != extent.runs.end()) {
    runs.erase({after->second, after->first});
    bytes += after->second;
    extent.runs.erase(after);
  }
  const auto next = extent.runs.lower_bound(offset);
  if (next != extent.runs.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      runs.erase({before->second, before->first});
      offset = before->first;
      bytes += before->second;
      extent.runs.erase(before);
    }
  }
  extent.runs[offset] = bytes;
  runs.insert({bytes, offset});
}

// Makes sure that the broker does not take the extent. False where it did.
bool BlockAllocator::claim(Extent& extent) {
  if (extent.claimed) return true;
  std::uint64_t expected = word(ExtentState::kFree);
  extent.claimed =
      extent.own.state->compare_exchange_strong(expected, word(ExtentState::kUsed), std::memory_order_seq_cst);
  return extent.claimed;
}

void BlockAllocator::unclaim(Extent& extent) {
  extent.claimed = false;
  extent.own.state->store(word(ExtentState::kFree), std::memory_order_seq_cst);
}

// ---------------------------------------------------------------- looking

std::vector<OwnExtent> BlockAllocator::extents() const {
  const std::lock_guard held(mutex_);
  return own_extents();
}

std::vector<OwnExtent> BlockAllocator::own_extents() const {
  std::vector<OwnExtent> all;
  for (const auto& [offset, extent] : extents_) all.push_back(extent->own);
  for (const GivenBack& given : dropped_) {
    if (given.keep == 0) all.push_back(given.extent);
  }
  return all;
}

std::size_t BlockAllocator::drafts() const {
  const std::lock_guard held(mutex_);
  return drafts_;
}

std::uint64_t BlockAllocator::occupied_bytes() const {
  const std::lock_guard held(mutex_);
  return occupied_;
}

std::uint64_t BlockAllocator::extent_bytes() const {
  const std::lock_guard held(mutex_);
  return extent_bytes_;
}

std::vector<OwnExtent> BlockAllocator::forget_all_locked() {
  std::vector<OwnExtent> all = own_extents();
  extents_.clear();
  small_runs_.clear();
  large_runs_.clear();
  blocks_.clear();
  dropped_.clear();
  idle_ = {};
  occupied_ = extent_bytes_ = small_extent_bytes_ = reserved_free_ = 0;
  drafts_ = 0;
  return all;
}

}  // namespace tensorbroker
