// What grants, takes and returns in tests of the block allocator: a few lines over a vector of bytes.

#ifndef TENSORBROKER_TESTS_CLIENT_GRANTER_H_
#define TENSORBROKER_TESTS_CLIENT_GRANTER_H_

#include <gtest/gtest.h>

#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/block_allocator.h"
#include "proto/limits.h"
#include "tensorbroker/error.h"

namespace tensorbroker {

inline constexpr std::uint64_t kKiB = 1024;
inline constexpr std::uint64_t kMiB = 1024 * kKiB;
inline constexpr std::uint64_t kSession = 7;

inline std::uint64_t word(ExtentState state) { return static_cast<std::uint64_t>(state); }

// The other side: hands out ranges of an arena up to a capacity, knows what is published, returns what it reclaims.
class Granter {
 public:
  explicit Granter(std::uint64_t capacity) : capacity_(capacity), arena_(capacity * 4 + kPageSize) {}

  OwnExtent grant(std::uint64_t bytes) {
    const std::uint64_t length = round_up_to_page(bytes);
    if (used_ + length > capacity_) throw OutOfMemoryError("asked " + std::to_string(bytes));
    const std::uint64_t offset = find_gap(length);
    const auto id = next_id_++;
    used_ += length;
    grants_.push_back(length);
    Word& state = states_.emplace_back(word(ExtentState::kUsed));
    extents_[offset] = {.id = id, .offset = offset, .bytes = length, .data = &arena_[offset], .state = &state};
    return extents_[offset];
  }

  void give_back(const std::vector<GivenBack>& given) {
    for (const auto& [extent, keep] : given) {
      ASSERT_TRUE(extents_.contains(extent.offset));
      OwnExtent& known = extents_.at(extent.offset);
      ASSERT_EQ(extent.bytes, known.bytes);
      ASSERT_EQ(keep % kPageSize, 0u);
      ASSERT_FALSE(holds_published(extent, keep)) << "somebody's tensor lies there";
      ASSERT_TRUE(keep == 0 || *extent.state == word(ExtentState::kUsed)) << "the broker could take it meanwhile";
      used_ -= extent.bytes - keep;
      known.bytes = keep;
      if (keep != 0) continue;
      given_back_ += 1;
      extents_.erase(extent.offset);
    }
  }

  // What the broker does under pressure: takes a free extent in which nothing published lies.
  bool take(const OwnExtent& extent) {
    std::uint64_t expected = word(ExtentState::kFree);
    return !holds_published(extent) && extent.state->compare_exchange_strong(expected, word(ExtentState::kTaken));
  }

  std::uint64_t publish(const Block& block) {
    const std::uint64_t generation = live(next_generation_++ << 1);
    if (block.bytes != 0) published_[block.offset] = {block.bytes, generation};
    return generation;
  }

  // Reclaims the published block and returns it. False where the ring is full: it stays published.
  bool reclaim(std::uint64_t offset) {
    const std::uint64_t head = control_->returns_head;
    if (head - control_->returns_tail == kReturnsLimit) return false;
    give(offset, published_.at(offset).second);
    published_.erase(offset);
    return true;
  }

  // A return, whatever the truth of it.
  void give(std::uint64_t offset, std::uint64_t generation) {
    const std::uint64_t head = control_->returns_head;
    ring_[head % kReturnsLimit].block_offset = offset;
    ring_[head % kReturnsLimit].generation = retired(generation);
    control_->returns_head = head + 1;
  }

  const OwnExtent* extent_of(const Block& block) const {
    for (const auto& [offset, extent] : extents_) {
      if (block.offset >= offset && block.offset + block.bytes <= offset + extent.bytes) return &extent;
    }
    return nullptr;
  }

  BlockAllocator::Source source() {
    return {.grant = [this](std::uint64_t bytes, const Limit&) { return grant(bytes); },
            .placed = [](const OwnExtent&) {},
            .give_back = [this](const std::vector<GivenBack>& given, std::uint64_t) { give_back(given); },
            .epoch = [] { return std::uint64_t{1}; },
            .ring_was_full = [this] { ++full_rings_; }};
  }

  SessionControl& control() { return *control_; }
  const BlockReturn* ring() const { return ring_.data(); }
  std::uint64_t next() const { return next_generation_ << 1; }
  std::uint64_t used() const { return used_; }
  const std::vector<std::uint64_t>& grants() const { return grants_; }
  const std::map<std::uint64_t, OwnExtent>& extents() const { return extents_; }
  const std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>>& published() const { return published_; }
  int given_back() const { return given_back_; }
  int full_rings() const { return full_rings_; }

 private:
  // Beyond its first `keep` bytes.
  bool holds_published(const OwnExtent& extent, std::uint64_t keep = 0) const {
    const auto after = published_.lower_bound(extent.offset + extent.bytes);
    if (after == published_.begin()) return false;
    const auto last = std::prev(after);
    return last->first + last->second.first > extent.offset + keep;
  }

  std::uint64_t find_gap(std::uint64_t length) const {
    std::uint64_t offset = kPageSize;
    for (const auto& [begin, extent] : extents_) {
      if (begin - offset >= length) break;
      offset = begin + extent.bytes;
    }
    return offset;
  }

  const std::uint64_t capacity_;
  std::vector<std::byte> arena_;
  std::map<std::uint64_t, OwnExtent> extents_;
  std::list<Word> states_;
  std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>> published_;  // bytes and generation by offset
  std::unique_ptr<SessionControl> control_ = std::make_unique<SessionControl>();
  std::vector<BlockReturn> ring_ = std::vector<BlockReturn>(kReturnsLimit);
  std::vector<std::uint64_t> grants_;
  std::uint64_t used_ = 0;
  std::uint64_t next_generation_ = 1000;
  std::uint32_t next_id_ = 1;
  int given_back_ = 0;
  int full_rings_ = 0;
};

class Blocks : public testing::Test {
 protected:
  Blocks() { allocator_.bind(kSession, &granter_.control(), granter_.ring()); }

  Block allocate(std::uint64_t bytes, bool is_mutable = false) {
    return allocator_.allocate(bytes, is_mutable, Limit::in(std::chrono::seconds(1)));
  }
  Block publish(std::uint64_t bytes) {
    const Block block = allocate(bytes);
    allocator_.published(block, granter_.publish(block));
    return block;
  }

  void reclaim(const Block& block) { ASSERT_TRUE(granter_.reclaim(block.offset)); }

  static constexpr std::uint64_t kCapacity = 64 * kMiB;
  Granter granter_{kCapacity};
  BlockAllocator allocator_{granter_.source()};
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_TESTS_CLIENT_GRANTER_H_
