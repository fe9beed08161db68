#include "broker/turns.h"

#include <gtest/gtest.h>

#include <string>

namespace tensorbroker::broker {
namespace {

class TurnsTest : public testing::Test {
 protected:
  struct Noted : TakesTurns {
    explicit Noted(std::function<void()> what) : does(std::move(what)) {}
    void take_turn(Deadline /*ends*/) override { does(); }
    std::function<void()> does;
  };

  void ask(pid_t process, std::function<void()> does) { turns_.ask(process, std::make_shared<Noted>(std::move(does))); }
  // A turn that something follows from.
  void ask(pid_t process) {
    ask(process, [this] { follow(); });
  }
  // The same, for one who looks for more.
  void take(pid_t process) {
    turns_.take(process, std::make_shared<Noted>([this] { follow(); }));
  }
  std::string run() {
    loop_.post([this] { stop_when_done(); });
    loop_.run();
    return had_;
  }

  EventLoop loop_;
  std::string had_;
  Turns turns_{loop_, [this] { had_ += '!'; }};

 private:
  void stop_when_done() {
    if (++looks_ == 1000) return loop_.stop();
    loop_.post([this] { stop_when_done(); });
  }
  void follow() {
    had_ += '.';
    turns_.follow_up();
  }
  int looks_ = 0;
};

TEST_F(TurnsTest, WhatFollowsFromATurnComesAfterIt) {
  ask(1);
  EXPECT_EQ(run(), ".!");
}

TEST_F(TurnsTest, WhatFollowsFromNoTurnIsDoneAtOnce) {
  turns_.follow_up();
  EXPECT_EQ(had_, "!");
}

TEST_F(TurnsTest, WhatFollowsIsDoneOnceForThoseThatWait) {
  for (int i = 0; i < 3; ++i) ask(1);
  ask(2);
  EXPECT_EQ(run(), "....!");
}

TEST_F(TurnsTest, WhatFollowsIsNotPutOffForEver) {
  for (int i = 0; i < 2 * Turns::kMostPutOff + 1; ++i) ask(1);
  const std::string most(Turns::kMostPutOff, '.');
  EXPECT_EQ(run(), most + '!' + most + "!.!");
}

TEST_F(TurnsTest, WhatFollowsIsPutOffForWhoLooksForMoreUntilHeFindsNone) {
  take(1);
  take(1);
  EXPECT_EQ(had_, "..");
  turns_.catch_up();
  turns_.catch_up();
  EXPECT_EQ(had_, "..!");
}

TEST_F(TurnsTest, WhatFollowsIsNotPutOffForEverForWhoLooksForMore) {
  for (int i = 0; i < Turns::kMostPutOff + 1; ++i) take(1);
  EXPECT_EQ(had_, std::string(Turns::kMostPutOff, '.') + "!.");
}

TEST_F(TurnsTest, ATurnThatNothingFollowsFromIsFollowedByNothing) {
  ask(1, [this] { had_ += '-'; });
  EXPECT_EQ(run(), "-");
}

TEST_F(TurnsTest, WhoLooksMeanwhileCanTell) {
  ask(1);
  ask(1, [this] { had_ += turns_.is_behind() ? '<' : '='; });
  EXPECT_EQ(run(), ".<!");
  EXPECT_FALSE(turns_.is_behind());
}

}  // namespace
}  // namespace tensorbroker::broker
