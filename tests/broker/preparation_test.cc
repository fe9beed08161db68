// When pages are prepared ahead of demand and when they go, by a clock that is a number.

#include "broker/preparation.h"

#include <gtest/gtest.h>

namespace tensorbroker::broker {
namespace {

using Decision = Preparation::Decision;
using What = Preparation::What;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kWanted = 100;
constexpr std::uint64_t kAmple = 1000;

class PreparationTest : public testing::Test {
 protected:
  Decision decide(std::uint64_t warm = 0, std::uint64_t room = kAmple, std::uint64_t wanted = kWanted) const {
    return preparation_.decide(now_, {.warm = warm, .wanted = wanted, .room = room});
  }
  // What it looks at by itself from here on, until it would sleep for ever; the pages are there until it lets them go.
  std::chrono::milliseconds until_released(std::uint64_t warm) {
    const Preparation::Time begin = now_;
    for (int looks = 0; looks < 100; ++looks) {
      const Decision decision = decide(warm);
      if (decision.what == What::kRelease) break;
      if (!decision.look_again) return milliseconds::max();
      now_ += *decision.look_again;
    }
    return std::chrono::duration_cast<milliseconds>(now_ - begin);
  }

  Preparation preparation_;
  Preparation::Time now_{seconds(1'000'000)};
};

TEST_F(PreparationTest, WithoutDemandNothingIsPreparedAndNothingLookedAt) {
  EXPECT_EQ(decide().what, What::kNothing);
  EXPECT_FALSE(decide().look_again);
}

TEST_F(PreparationTest, PreparesOnceGrantsHaveBeenQuiet) {
  preparation_.demanded(now_);
  EXPECT_EQ(decide().what, What::kNothing);
  EXPECT_EQ(decide().look_again, Preparation::kQuiet);
  now_ += Preparation::kQuiet - milliseconds(40);
  preparation_.demanded(now_);
  now_ += Preparation::kQuiet - milliseconds(40);
  EXPECT_EQ(decide().what, What::kNothing) << "another grant came meanwhile";
  EXPECT_EQ(decide().look_again, milliseconds(40));
  now_ += *decide().look_again;
  EXPECT_EQ(decide().what, What::kPrepare);
}

TEST_F(PreparationTest, GoesAfterATimeWithoutDemandAndThenSleeps) {
  preparation_.demanded(now_);
  now_ += Preparation::kQuiet;
  EXPECT_EQ(until_released(kWanted), Preparation::kKept - Preparation::kQuiet);
  EXPECT_FALSE(decide(kWanted).look_again) << "a broker without work sleeps";
  EXPECT_EQ(decide(0).what, What::kNothing);
  EXPECT_FALSE(decide(0).look_again);
}

TEST_F(PreparationTest, EachGrantKeepsThemAnew) {
  preparation_.demanded(now_);
  now_ += Preparation::kKept - seconds(1);
  preparation_.demanded(now_);
  EXPECT_EQ(until_released(kWanted), Preparation::kKept);
}

TEST_F(PreparationTest, WhatIsGivenBackStaysAsLongAndCallsForNoMore) {
  preparation_.given_back(now_);
  EXPECT_EQ(decide(1).what, What::kNothing);
  EXPECT_EQ(until_released(1), Preparation::kKept);
}

TEST_F(PreparationTest, GoesAtOnceWhenTheMachineRunsLow) {
  preparation_.demanded(now_);
  now_ += Preparation::kQuiet;
  EXPECT_LE(decide(kWanted).look_again, Preparation::kLook) << "or nobody would see it";
  EXPECT_EQ(decide(kWanted, kWanted).what, What::kNothing);
  EXPECT_EQ(decide(kWanted, kWanted - 1).what, What::kRelease);
  EXPECT_EQ(decide(0, kWanted - 1).what, What::kNothing);
  EXPECT_EQ(decide(0, 2 * kWanted - 1).what, What::kNothing) << "it would have to go again soon";
  EXPECT_EQ(decide(0, 2 * kWanted).what, What::kPrepare);
}

TEST_F(PreparationTest, WhereNoneAreWantedOnlyWhatIsThereIsLookedAt) {
  preparation_.demanded(now_);
  now_ += Preparation::kQuiet;
  EXPECT_EQ(decide(0, kAmple, 0).what, What::kNothing);
  EXPECT_FALSE(decide(0, kAmple, 0).look_again);
  EXPECT_TRUE(decide(1, kAmple, 0).look_again);
}

}  // namespace
}  // namespace tensorbroker::broker
