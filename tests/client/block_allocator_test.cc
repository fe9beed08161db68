// The block allocator against a simple model of what a broker does with its extents. Nothing of it needs a broker.

#include "client/block_allocator.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "proto/limits.h"
#include "tensorbroker/error.h"
#include "tests/client/granter.h"

namespace tensorbroker {
namespace {

TEST_F(Blocks, SmallOnesShareExtentsThatDoubleUpToAMebibyte) {
  for (int i = 0; i < 1200; ++i) allocate(4 * kKiB);
  const std::vector<std::uint64_t> sizes{256 * kKiB, 512 * kKiB, kMiB, kMiB, kMiB, kMiB};
  EXPECT_EQ(granter_.grants(), sizes);
}

TEST_F(Blocks, LargeOnesHaveExtentsOfTheirSize) {
  allocate(5 * kMiB + 1);
  allocate(100);
  EXPECT_EQ(granter_.grants(), (std::vector<std::uint64_t>{5 * kMiB + kPageSize, 256 * kKiB}));
}

TEST_F(Blocks, LieWhereTheLimitsSay) {
  for (const std::uint64_t bytes : {1ul, 63ul, 64ul, 65ul, 4097ul, 65535ul, 65536ul, 70001ul, kMiB, 3 * kMiB + 5}) {
    for (const bool is_mutable : {false, true}) {
      const Block block = allocate(bytes, is_mutable);
      EXPECT_EQ(block.offset % block_alignment(bytes, is_mutable), 0u) << bytes;
      EXPECT_EQ(block.bytes, padded_block_bytes(bytes, is_mutable)) << bytes;
    }
  }
}

TEST_F(Blocks, NothingTakesNoPlace) {
  const Block block = allocate(0);
  EXPECT_EQ(block.bytes, 0u);
  allocator_.published(block, granter_.publish(block));
  EXPECT_TRUE(granter_.grants().empty());
}

TEST_F(Blocks, ADiscardedOneIsUsedAgain) {
  const Block block = allocate(3 * kMiB);
  allocator_.discard(block);
  EXPECT_EQ(allocate(3 * kMiB).offset, block.offset);
  EXPECT_EQ(granter_.grants().size(), 1u);
}

TEST_F(Blocks, APublishedOneIsUsedAgainWhenItWasReturnedAndNotBefore) {
  const Block block = publish(3 * kMiB);
  allocator_.discard(block);
  const Block other = allocate(3 * kMiB);
  EXPECT_NE(other.offset, block.offset) << "discard() is for drafts";
  ASSERT_TRUE(granter_.reclaim(block.offset));
  EXPECT_EQ(allocate(3 * kMiB).offset, block.offset);
}

TEST_F(Blocks, AReturnCountsOnceAndForItsGenerationOnly) {
  const Block block = allocate(3 * kMiB);
  const std::uint64_t generation = granter_.publish(block);
  allocator_.published(block, generation);
  granter_.give(block.offset, generation - 2);
  EXPECT_NE(allocate(3 * kMiB).offset, block.offset) << "an earlier publication's";
  ASSERT_TRUE(granter_.reclaim(block.offset));
  const Block again = allocate(3 * kMiB);
  ASSERT_EQ(again.offset, block.offset);
  granter_.give(block.offset, generation);  // as a successor does that does not know that it was given
  EXPECT_NE(allocate(3 * kMiB).offset, block.offset) << "it is a draft now";
  allocator_.published(again, granter_.publish(again));
  EXPECT_NE(allocate(3 * kMiB).offset, block.offset) << "and published now";
}

TEST_F(Blocks, AReturnMayOvertakeTheReply) {
  const Block block = allocate(3 * kMiB);
  const std::uint64_t generation = granter_.publish(block);
  ASSERT_TRUE(granter_.reclaim(block.offset));
  EXPECT_NE(allocate(3 * kMiB).offset, block.offset);
  allocator_.published(block, generation);
  EXPECT_EQ(allocate(3 * kMiB).offset, block.offset);
}

TEST_F(Blocks, OneInDoubtIsUsedAgainWhenItsOwnPublicationWasReturned) {
  const Block block = allocate(3 * kMiB);
  const std::uint64_t floor = granter_.next();
  const std::uint64_t generation = granter_.publish(block);
  allocator_.in_doubt(block, floor);
  granter_.give(block.offset, floor - 2);
  EXPECT_NE(allocate(3 * kMiB).offset, block.offset) << "an earlier publication's";
  granter_.give(block.offset, generation);
  EXPECT_EQ(allocate(3 * kMiB).offset, block.offset);
}

TEST_F(Blocks, AnExtentWithoutDraftsMayBeTakenAndIsGivenBack) {
  const Block block = allocate(3 * kMiB);
  const OwnExtent extent = *granter_.extent_of(block);
  EXPECT_FALSE(granter_.take(extent)) << "a draft is in it";
  allocator_.discard(block);
  EXPECT_TRUE(granter_.take(extent));
  allocate(3 * kMiB);
  EXPECT_EQ(granter_.given_back(), 1);
  EXPECT_EQ(granter_.grants().size(), 2u);
}

TEST_F(Blocks, ASmallBlockGetsWhatIsLeftWhereAWholeExtentIsNotToBeHad) {
  allocate(kCapacity - 2 * kPageSize);
  EXPECT_EQ(granter_.extent_of(allocate(100))->bytes, kPageSize);
  EXPECT_THROW(allocate(2 * kPageSize), OutOfMemoryError);
}

TEST_F(Blocks, ALargeFreeRunIsSparedUntilNothingElseIsLeft) {
  const Block model = allocate(24 * kMiB);
  allocator_.discard(model);
  EXPECT_NE(allocate(2 * kMiB).offset, model.offset);
  allocate(38 * kMiB);  // with the model's 24 and the 2: all there is
  EXPECT_EQ(allocate(3 * kMiB).offset, model.offset);
}

TEST_F(Blocks, WhatWasReservedServesBlocksOfAnySize) {
  allocator_.reserve(40 * kMiB, Limit::in(std::chrono::seconds(1)));
  for (int i = 0; i < 20; ++i) allocate(2 * kMiB);
  EXPECT_EQ(granter_.grants().size(), 1u);
  EXPECT_THROW(allocator_.reserve(60 * kMiB, Limit::in(std::chrono::seconds(1))), OutOfMemoryError);
}

TEST_F(Blocks, WhatTheBrokerHasTakenGoesBackWhenMemoryIsReservedThoughThereBeEnough) {
  const Block taken = allocate(2 * kMiB);
  const Block kept = allocate(4 * kMiB);
  allocator_.discard(taken);
  allocator_.discard(kept);
  ASSERT_TRUE(granter_.take(*granter_.extent_of(taken)));
  allocator_.reserve(kMiB, Limit::in(std::chrono::seconds(1)));
  EXPECT_EQ(granter_.given_back(), 1);
  EXPECT_EQ(granter_.grants().size(), 2u);
}

TEST_F(Blocks, AFullRingIsEmptiedAndTheBrokerToldSo) {
  std::vector<Block> blocks;
  for (std::uint32_t i = 0; i < kReturnsLimit + 10; ++i) blocks.push_back(publish(64));
  std::size_t returned = 0;
  while (granter_.reclaim(blocks[returned].offset)) ++returned;
  EXPECT_EQ(returned, kReturnsLimit);
  EXPECT_TRUE(allocator_.collect_returns());
  EXPECT_EQ(granter_.full_rings(), 1);
  EXPECT_EQ(allocator_.occupied_bytes(), 10 * 64u);
  EXPECT_FALSE(allocator_.collect_returns());
}

TEST_F(Blocks, AChildStartsEmptyAndKeepsItsHandsOffItsParentsBlocks) {
  const Block block = allocate(100);
  allocator_.lock();
  const std::vector<OwnExtent> inherited = allocator_.forget_all_locked();
  allocator_.bind(kSession + 1, &granter_.control(), granter_.ring());
  allocator_.unlock();
  ASSERT_EQ(inherited.size(), 1u);
  EXPECT_EQ(inherited[0].id, granter_.extent_of(block)->id);
  const Block own = allocate(100);
  allocator_.discard(block);
  allocator_.published(block, granter_.next());
  EXPECT_EQ(allocator_.occupied_bytes(), own.bytes);
}

// ---------------------------------------------------------------- at random

class RandomBlocks : public Blocks, public testing::WithParamInterface<int> {
 protected:
  std::uint64_t pick_size() {
    const std::uint64_t bits = random_() % 23;
    return (std::uint64_t{1} << bits) + random_() % (std::uint64_t{1} << bits);
  }

  // No block overlaps another, lies outside the extents, or in one that the broker has taken.
  void check(const Block& block) {
    const OwnExtent* extent = granter_.extent_of(block);
    ASSERT_NE(extent, nullptr);
    EXPECT_EQ(*extent->state, word(ExtentState::kUsed));
    EXPECT_EQ(block.data, extent->data + (block.offset - extent->offset));
    const auto overlaps = [&](std::uint64_t offset, std::uint64_t bytes) {
      return block.offset < offset + bytes && offset < block.offset + block.bytes;
    };
    for (const auto& [offset, other] : drafts_) ASSERT_FALSE(overlaps(offset, other.bytes));
    for (const auto& [offset, other] : granter_.published()) ASSERT_FALSE(overlaps(offset, other.first));
  }

  Block any_draft() {
    auto at = drafts_.begin();
    std::advance(at, random_() % drafts_.size());
    const Block block = at->second;
    drafts_.erase(at);
    return block;
  }

  void step() {
    const auto what = random_() % 100;
    if (what < 40) {
      try {
        const Block block = allocate(pick_size(), random_() % 4 == 0);
        check(block);
        drafts_[block.offset] = block;
      } catch (const OutOfMemoryError&) {
        ++refused_;
      }
    } else if (what < 55 && !drafts_.empty()) {
      allocator_.discard(any_draft());
    } else if (what < 75 && !drafts_.empty()) {
      const Block block = any_draft();
      const std::uint64_t floor = granter_.next();
      const std::uint64_t generation = granter_.publish(block);
      if (random_() % 10 == 0) {
        allocator_.in_doubt(block, floor);
      } else {
        allocator_.published(block, generation);
      }
    } else if (what < 95 && !granter_.published().empty()) {
      auto at = granter_.published().begin();
      std::advance(at, random_() % granter_.published().size());
      const auto [offset, published] = *at;
      ASSERT_TRUE(granter_.reclaim(offset));
      if (random_() % 5 == 0) granter_.give(offset, published.second);  // twice, after a crash
    } else if (!granter_.extents().empty()) {
      auto at = granter_.extents().begin();
      std::advance(at, random_() % granter_.extents().size());
      taken_ += granter_.take(at->second) ? 1 : 0;
    }
  }

  const unsigned seed_ = std::random_device{}();
  std::mt19937 random_{seed_};
  std::map<std::uint64_t, Block> drafts_;
  int refused_ = 0;
  int taken_ = 0;
};

TEST_P(RandomBlocks, NeverOverlapAndAllComesBack) {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  for (int i = 0; i < 5000 && !HasFatalFailure(); ++i) step();
  EXPECT_GT(refused_, 0) << "the capacity was never reached: the test is too easy";
  EXPECT_GT(taken_, 0);
  while (!drafts_.empty()) allocator_.discard(any_draft());
  while (!granter_.published().empty()) ASSERT_TRUE(granter_.reclaim(granter_.published().begin()->first));
  allocator_.collect_returns();
  EXPECT_EQ(allocator_.drafts(), 0u);
  EXPECT_EQ(allocator_.occupied_bytes(), 0u);
  EXPECT_NO_THROW(allocate(kCapacity / 2)) << "free extents are in nobody's way";
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomBlocks, testing::Range(0, 4));

}  // namespace
}  // namespace tensorbroker
