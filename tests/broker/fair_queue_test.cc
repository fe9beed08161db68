#include "broker/fair_queue.h"

#include <gtest/gtest.h>

#include <string>

namespace tensorbroker::broker {
namespace {

using std::chrono::microseconds;

class FairQueueTest : public testing::Test {
 protected:
  struct Noted : TakesTurns {
    Noted(std::string& to, std::string text) : had(to), what(std::move(text)) {}
    void take_turn(Deadline /*ends*/) override { had += what; }
    std::string& had;
    std::string what;
  };

  void push(char owner, char what) { push(static_cast<FairQueue::Owner>(owner), std::string(1, what)); }
  void push(FairQueue::Owner owner, const std::string& what) {
    queue_.push(owner, std::make_shared<Noted>(had_, what));
  }
  void take(microseconds cost) {
    queue_.pop()->take_turn({});
    queue_.finish(cost);
  }
  std::string take_all(microseconds cost) {
    while (!queue_.empty()) take(cost);
    return had_;
  }

  FairQueue queue_;
  std::string had_;
};

TEST_F(FairQueueTest, AnOwnersTurnsKeepTheirOrder) {
  for (const char each : {'1', '2', '3'}) push('a', each);
  EXPECT_EQ(take_all(microseconds(5)), "123");
}

TEST_F(FairQueueTest, OwnersWithManyTurnsWaitingAlternateWithThoseThatHaveFew) {
  for (int i = 0; i < 6; ++i) push('f', 'f');
  push('a', 'a');
  push('b', 'b');
  push('b', 'b');
  EXPECT_EQ(take_all(microseconds(1)), "fabfbffff");
}

TEST_F(FairQueueTest, ACostlyTurnIsMadeUpFor) {
  for (int i = 0; i < 3; ++i) push('f', 'f');
  for (int i = 0; i < 6; ++i) push('a', 'a');
  take(microseconds(3));
  EXPECT_EQ(take_all(microseconds(1)), "faaafafaa");
}

TEST_F(FairQueueTest, WhoComesAnewIsNextAndHasSavedNothingUp) {
  for (int i = 0; i < 100; ++i) push('f', 'f');
  for (int i = 0; i < 50; ++i) take(microseconds(10));
  had_.clear();
  for (int i = 0; i < 4; ++i) push('a', 'a');
  for (int i = 0; i < 6; ++i) take(microseconds(10));
  EXPECT_EQ(had_, "afafaf");
}

TEST_F(FairQueueTest, LeavingAndComingBackDoesNotMakeAnOwnerNew) {
  push('f', 'f');
  for (int i = 0; i < 6; ++i) push('a', 'a');
  take(microseconds(100));
  for (int i = 0; i < 2; ++i) take(microseconds(20));
  push('f', 'f');  // had nothing waiting for a moment
  for (int i = 0; i < 4; ++i) take(microseconds(20));
  EXPECT_EQ(had_, "faaaaaf");
}

TEST_F(FairQueueTest, OwnersThatAreAlwaysNewDoNotKeepTheOthersWaiting) {
  push('f', 'f');
  for (FairQueue::Owner other = 1000; had_.size() < 10; ++other) {
    ASSERT_LT(other, 1100u);
    push(other, "");
    const std::size_t had = had_.size();
    take(microseconds(1));
    if (had_.size() > had) push('f', 'f');
  }
}

TEST_F(FairQueueTest, NothingIsRememberedOfOwnersThatAreGone) {
  for (int i = 0; i < 100; ++i) push('f', 'f');
  for (FairQueue::Owner other = 1000; other < 11'000; ++other) {
    push(other, "");
    take(microseconds(1));
    EXPECT_LE(queue_.owners(), 300u);
    if (queue_.empty()) push('f', 'f');
  }
}

}  // namespace
}  // namespace tensorbroker::broker
