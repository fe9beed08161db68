// When looking busily is worth another try.

#include "proto/spin_budget.h"

#include <gtest/gtest.h>

namespace tensorbroker {
namespace {

using std::chrono::milliseconds;

class SpinBudgetTest : public testing::Test {
 protected:
  // Milliseconds until it is allowed again.
  int pause() const {
    int ms = 0;
    while (!budget_.allows(now_ + milliseconds(ms))) ++ms;
    return ms;
  }
  void pay(unsigned times) {
    for (unsigned i = 0; i < times; ++i) budget_.paid();
  }

  SpinBudget budget_;
  SpinBudget::Clock::time_point now_ = SpinBudget::Clock::now();
};

TEST_F(SpinBudgetTest, IsThereAtFirst) { EXPECT_EQ(pause(), 0); }

TEST_F(SpinBudgetTest, WhatComesNowAndThenDoesNotKeepABurstFromBeingSeen) {
  for (int i = 0; i < 100; ++i) budget_.in_vain(now_);
  EXPECT_EQ(pause(), 5);
}

TEST_F(SpinBudgetTest, WithoutACoreItIsTriedMoreAndMoreSeldom) {
  for (const int expected : {5, 10, 20, 40, 80, 160, 320, 640, 640}) {
    budget_.put_aside(now_);
    EXPECT_EQ(pause(), expected);
    now_ += milliseconds(expected + 1);
  }
}

TEST_F(SpinBudgetTest, ALongTimeAfterwardsItBeginsAnew) {
  for (int i = 0; i < 8; ++i) budget_.put_aside(now_);
  now_ += milliseconds(640 + 1281);
  budget_.put_aside(now_);
  EXPECT_EQ(pause(), 5);
}

TEST_F(SpinBudgetTest, WhatWentBeforeIsForgottenAfterManyThatPaidInARow) {
  for (int i = 0; i < 8; ++i) budget_.put_aside(now_);
  pay(SpinBudget::kConvincing - 1);
  budget_.put_aside(now_);
  EXPECT_EQ(pause(), 640);
  pay(SpinBudget::kConvincing);
  budget_.put_aside(now_);
  EXPECT_EQ(pause(), 5);
}

}  // namespace
}  // namespace tensorbroker
