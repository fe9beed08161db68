// What the block allocator keeps of the memory that no block occupies, and what it gives back.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "client/idle_extents.h"
#include "tests/client/granter.h"

namespace tensorbroker {
namespace {

class IdleMemory : public Blocks {
 protected:
  // Places a block of so many bytes elsewhere, again and again, in an extent that is kept for it.
  void place_elsewhere(std::uint64_t bytes, int times) {
    for (int i = 0; i < times; ++i) allocator_.discard(allocate(bytes));
  }
};

TEST_F(IdleMemory, IsKeptUpToATenthOfWhatIsOccupiedBesideWhatIsReserved) {
  for (int i = 0; i < 6; ++i) publish(7 * kMiB);
  const std::vector<Block> blocks{allocate(2 * kMiB), allocate(2 * kMiB)};
  allocator_.reserve(14 * kMiB, Limit::in(std::chrono::seconds(1)));
  for (const Block& block : blocks) allocator_.discard(block);
  place_elsewhere(2 * kMiB, 100);
  EXPECT_EQ(granter_.given_back(), 0);
}

TEST_F(IdleMemory, BeyondThatGoesOnceTwiceItsLengthWasPlacedElsewhere) {
  publish(2 * kMiB);
  const Block other = allocate(2 * kMiB);
  allocator_.discard(allocate(20 * kMiB));
  allocator_.discard(other);
  place_elsewhere(2 * kMiB, 19);
  EXPECT_EQ(granter_.given_back(), 0);
  place_elsewhere(2 * kMiB, 1);
  EXPECT_EQ(granter_.given_back(), 1);
  EXPECT_EQ(allocator_.extent_bytes(), 4 * kMiB);
}

// Where memory is short a small block lies anywhere, and the free end behind it begins within a page.
TEST_F(IdleMemory, GoesBackInWholePagesBehindASmallBlock) {
  const Block other = allocate(kMiB);
  allocator_.discard(allocate(8 * kMiB));
  publish(5 * kMiB);
  const Block all_else = allocate(55 * kMiB);
  const Block small = allocate(64);
  allocator_.discard(all_else);
  allocator_.discard(other);
  place_elsewhere(kMiB, 10);
  ASSERT_NE(granter_.extent_of(small), nullptr);
  EXPECT_EQ(granter_.extent_of(small)->bytes, 5 * kMiB + kPageSize);
}

TEST_F(IdleMemory, OfATensorThatIsReplacedAgainAndAgainStays) {
  Block published = publish(12 * kMiB);
  for (int i = 0; i < 100; ++i) {
    const Block next = publish(12 * kMiB);
    reclaim(published);
    published = next;
  }
  EXPECT_EQ(granter_.grants().size(), 2u);
}

TEST_F(IdleMemory, OfATensorThatIsReplacedHasASpareForAReaderThatSeldomHoldsAVersion) {
  std::deque<Block> held{publish(12 * kMiB)};
  for (int i = 0; i < 100; ++i) {
    held.push_back(publish(12 * kMiB));
    while (held.size() > (i % 20 == 0 ? 2 : 1)) {
      reclaim(held.front());
      held.pop_front();
    }
  }
  EXPECT_EQ(granter_.grants().size(), 3u);
}

TEST_F(IdleMemory, AtTheEndOfAnExtentGoesBackWhileABlockIsInTheRest) {
  const Block other = allocate(kMiB);
  allocator_.discard(allocate(8 * kMiB));
  const Block block = publish(5 * kMiB);
  ASSERT_EQ(granter_.extent_of(block)->bytes, 8 * kMiB);
  allocator_.discard(other);
  place_elsewhere(kMiB, 60);
  EXPECT_EQ(granter_.extent_of(block)->bytes, 5 * kMiB);
  EXPECT_EQ(granter_.used(), 6 * kMiB);
  EXPECT_EQ(allocator_.extent_bytes(), 6 * kMiB);
  EXPECT_EQ(*granter_.extent_of(block)->state, word(ExtentState::kFree)) << "no draft is in it";
  reclaim(block);
  EXPECT_EQ(allocate(5 * kMiB).offset, block.offset);
}

TEST_F(IdleMemory, IsNotForTheBrokerToTakeWhileItGoesBackWhateverBecomesOfTheBlocksMeanwhile) {
  std::function<void()> meanwhile = [] {};
  BlockAllocator::Source source = granter_.source();
  source.give_back = [&](const std::vector<GivenBack>& given, std::uint64_t) {
    meanwhile();
    granter_.give_back(given);
  };
  BlockAllocator allocator(source);
  const auto place = [&](std::uint64_t bytes) { return allocator.allocate(bytes, false, Limit{}); };
  const Block other = place(kMiB);
  allocator.discard(place(8 * kMiB));
  const Block draft = place(5 * kMiB);
  allocator.discard(other);
  const OwnExtent extent = *granter_.extent_of(draft);
  meanwhile = [&] { allocator.discard(draft); };
  for (int i = 0; i < 60 && granter_.extent_of(draft)->bytes == 8 * kMiB; ++i) allocator.discard(place(kMiB));
  EXPECT_EQ(granter_.extent_of(draft)->bytes, 5 * kMiB);
  EXPECT_EQ(*extent.state, word(ExtentState::kFree)) << "now it is";
}

TEST_F(IdleMemory, GoesBackWholeWhereTheBrokerHasTakenTheExtent) {
  const Block other = allocate(kMiB);
  allocator_.discard(allocate(8 * kMiB));
  const Block block = publish(5 * kMiB);
  allocator_.discard(other);
  const OwnExtent extent = *granter_.extent_of(block);
  place_elsewhere(kMiB, 5);
  reclaim(block);
  ASSERT_TRUE(granter_.take(extent));
  place_elsewhere(kMiB, 16);
  EXPECT_EQ(granter_.given_back(), 1);
  EXPECT_EQ(allocator_.extent_bytes(), kMiB);
}

TEST_F(IdleMemory, ThatWasReservedIsKept) {
  const Block other = allocate(2 * kMiB);
  const Block large = allocate(31 * kMiB);
  allocator_.reserve(30 * kMiB, Limit::in(std::chrono::seconds(1)));
  const Block reserved = allocate(20 * kMiB);
  for (const Block& block : {reserved, large, other}) allocator_.discard(block);
  place_elsewhere(2 * kMiB, 100);
  EXPECT_EQ(granter_.given_back(), 1) << "the large one";
  EXPECT_EQ(allocate(30 * kMiB).offset, reserved.offset);
}

TEST_F(IdleMemory, GoesBackAFewTimesTheLengthOfABlockForEachOne) {
  const Block other = allocate(kMiB);
  std::vector<Block> model;
  for (int i = 0; i < 30; ++i) model.push_back(allocate(2 * kMiB));
  for (const Block& block : model) allocator_.discard(block);
  allocator_.discard(other);
  place_elsewhere(kMiB, 3);
  for (int before = granter_.given_back(); before < 30; before = granter_.given_back()) {
    place_elsewhere(kMiB, 1);
    ASSERT_GT(granter_.given_back(), before);
    ASSERT_LE(granter_.given_back(), before + 3);
  }
}

TEST_F(IdleMemory, ThatIsThereWhenSomeIsReservedIsKept) {
  const Block other = allocate(2 * kMiB);
  allocator_.discard(allocate(20 * kMiB));
  allocator_.reserve(20 * kMiB, Limit::in(std::chrono::seconds(1)));
  EXPECT_EQ(granter_.grants().size(), 2u);
  for (int i = 0; i < 50; ++i) allocator_.discard(allocate(21 * kMiB));
  allocator_.discard(other);
  for (int i = 0; i < 10; ++i) allocate(2 * kMiB);
  EXPECT_EQ(granter_.grants().size(), 3u) << "and is there for blocks of any size";
}

TEST_F(IdleMemory, OfSmallBlocksGoesBack) {
  std::vector<Block> many;
  for (int i = 0; i < 100; ++i) many.push_back(allocate(200 * kKiB));
  for (const Block& block : many) allocator_.discard(block);
  place_elsewhere(4 * kKiB, 1500);
  EXPECT_LE(granter_.used(), kMiB);
}

TEST(IdleExtents, TheLongestOverdueGoesFirst) {
  IdleExtents idle;
  idle.set(1, 30);
  idle.set(2, 10);
  idle.placed(10);
  idle.set(3, 10);
  constexpr std::uint64_t kEnough = IdleExtents::kLeast + 10;
  EXPECT_FALSE(idle.due(2 * kEnough, 0)) << "nothing is due";
  idle.placed(60);
  EXPECT_FALSE(idle.due(kEnough, 100)) << "a tenth";
  std::vector<std::uint64_t> order;
  while (const auto due = idle.due(kEnough + 1, 100)) {
    order.push_back(due->offset);
    idle.set(due->offset, 0);
  }
  EXPECT_EQ(order, (std::vector<std::uint64_t>{2, 3, 1}));
}

// ---------------------------------------------------------------- for long

// Grants without end, and without memory.
class Ledger {
 public:
  BlockAllocator::Source source() {
    return {.grant = [this](std::uint64_t bytes, const Limit&) { return grant(bytes); },
            .placed = [](const OwnExtent&) {},
            .give_back =
                [this](const std::vector<GivenBack>& given, std::uint64_t) {
                  for (const GivenBack& g : given) used -= g.extent.bytes - g.keep;
                },
            .epoch = [] { return std::uint64_t{1}; },
            .ring_was_full = [] {}};
  }

  std::vector<std::uint64_t> grants;
  std::uint64_t used = 0;

 private:
  OwnExtent grant(std::uint64_t bytes) {
    const std::uint64_t length = round_up_to_page(bytes);
    const OwnExtent extent{.offset = next_, .bytes = length, .state = &states_.emplace_back(word(ExtentState::kUsed))};
    next_ += length;
    used += length;
    grants.push_back(length);
    return extent;
  }

  std::uint64_t next_ = kPageSize;
  std::deque<Word> states_;
};

TEST(SmallBlocks, OfWhichThereAreManyHaveExtentsOfUpTo8MiB) {
  Ledger ledger;
  BlockAllocator allocator(ledger.source());
  for (std::uint64_t i = 0; i < 1024 * kMiB / (64 * kKiB); ++i) allocator.allocate(64 * kKiB, false, Limit{});
  EXPECT_EQ(ledger.grants.back(), 8 * kMiB);
  EXPECT_LE(ledger.grants.size(), 400u);
  EXPECT_LE(ledger.used, (1024 + 8) * kMiB);
}

struct Mix {
  std::string name;
  std::function<std::uint64_t(std::mt19937_64&)> size;
};

void PrintTo(const Mix& mix, std::ostream* out) { *out << mix.name; }

double fraction(std::mt19937_64& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }
std::uint64_t spread(std::mt19937_64& random, double least, double most) {
  return static_cast<std::uint64_t>(least * std::pow(most / least, fraction(random)));
}

class Mixes : public testing::TestWithParam<Mix> {
 protected:
  static constexpr std::size_t kNames = 2000;

  void create_or_delete() {
    const std::size_t which = random_() % kNames;
    if (there_[which]) {
      allocator_.discard(blocks_[which]);
    } else {
      blocks_[which] = allocator_.allocate(GetParam().size(random_), false, Limit{});
    }
    there_[which] = !there_[which];
  }

  std::mt19937_64 random_{20'240'602};
  Ledger ledger_;
  BlockAllocator allocator_{ledger_.source()};
  std::vector<Block> blocks_ = std::vector<Block>(kNames);
  std::vector<bool> there_ = std::vector<bool>(kNames);
};

TEST_P(Mixes, HaveMemoryForAnEighthMoreThanTheyOccupyAndSeldomNeedAGrant) {
  constexpr int kSamples = 60;
  double ratios = 0;
  for (int i = 0; i < 10'000; ++i) create_or_delete();
  ledger_.grants.clear();
  for (int sample = 0; sample < kSamples; ++sample) {
    for (int i = 0; i < 1000; ++i) create_or_delete();
    ratios += static_cast<double>(ledger_.used) / static_cast<double>(allocator_.occupied_bytes());
  }
  EXPECT_LE(ratios / kSamples, 1.12);
  EXPECT_LE(ledger_.grants.size(), 60'000u / 25);
  EXPECT_EQ(ledger_.used, allocator_.extent_bytes());
}

INSTANTIATE_TEST_SUITE_P(
    Of, Mixes,
    testing::Values(Mix{"EvenByLogarithm", [](auto& random) { return spread(random, 64, 4 << 20); }},
                    Mix{"EvenByLogarithmToLarger", [](auto& random) { return spread(random, 64, 64 << 20); }},
                    Mix{"Even", [](auto& random) { return 64 + random() % (4 << 20); }},
                    Mix{"SmallAndLarge",
                        [](auto& random) {
                          return fraction(random) < 0.9 ? spread(random, 4096, 65536)
                                                        : spread(random, 1 << 20, 16 << 20);
                        }},
                    Mix{"LayersOfAModel",
                        [](auto& random) {
                          constexpr std::uint64_t kLayers[] = {4, 16, 16, 16, 1000, 4096, 16'384, 16'384, 45'056};
                          return kLayers[random() % std::size(kLayers)] * kKiB;
                        }}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace tensorbroker
