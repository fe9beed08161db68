#include "broker/ring_watch.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "broker/channel.h"

namespace tensorbroker::broker {
namespace {

// The rings of a client of this process.
class RingWatchTest : public testing::Test {
 protected:
  struct Handler : ChannelHandler {
    bool on_frame(std::span<const std::byte> /*frame*/, Transport /*way*/, Deadline /*turn_ends*/) override {
      ++heard;
      then();
      return true;
    }
    void on_closed() override {}
    bool greeted() const noexcept override { return true; }
    int heard = 0;
    std::function<void()> then = [] {};
  };

  void SetUp() override {
    if (!has_processors_to_spare()) GTEST_SKIP() << "with one processor no ring is looked at";
  }

  // Requests that follow each other at once, until the ring is looked at: this process may have been put aside.
  void begin_burst() {
    for (int i = 0; i < 1000 && !ring_->is_watched(); ++i) ring_->heard_by_socket();
    ASSERT_TRUE(ring_->is_watched());
  }
  void ask() {
    const std::array<std::byte, 8> frame{};
    writer_.write(frame);
  }
  // Runs the loop until the ring is quiet. The client asks once more in each turn of the loop, `requests` times.
  void run(int requests) {
    go_on(requests);
    loop_.run();
  }

  EventLoop loop_;
  int follow_ups_ = 0;
  Turns turns_{loop_, [this] { ++follow_ups_; }};
  RingWatch watch_{loop_, turns_, [](unsigned) { return true; }};
  std::shared_ptr<Handler> handler_ = std::make_shared<Handler>();

 private:
  void go_on(int requests) {
    if (requests > 0) ask();
    loop_.post([this, requests] {
      if (requests <= 0 && !ring_->is_watched()) return loop_.stop();
      go_on(requests - 1);
    });
  }

  std::vector<Word> words_ = std::vector<Word>(64);
  Word tail_{0}, head_{0}, asleep_{0}, processor_{0};
  const CommandRing memory_{words_.data(), words_.size(), &tail_, &head_, &asleep_, &processor_};
  RingWriter writer_{memory_};

 protected:
  std::shared_ptr<RequestRing> ring_ = std::make_shared<RequestRing>(memory_, 1, turns_, watch_, handler_,
                                                                     [](const std::string& why) { FAIL() << why; });
};

TEST_F(RingWatchTest, HearsWithoutBeingRungUntilNothingComes) {
  begin_burst();
  run(20);
  EXPECT_GT(handler_->heard, 0);
  EXPECT_FALSE(ring_->is_watched());
}

TEST_F(RingWatchTest, WhatFollowsIsNotPutOffAnyLongerWhenNothingComes) {
  handler_->then = [this] { turns_.follow_up(); };
  begin_burst();
  ask();
  ring_->look_now();
  EXPECT_TRUE(turns_.is_behind());
  EXPECT_EQ(follow_ups_, 0);
  run(0);
  EXPECT_FALSE(turns_.is_behind());
  EXPECT_EQ(follow_ups_, 1);
}

TEST_F(RingWatchTest, ATaskDoesNotMakeWayWhereNoRingIsLookedAt) {
  bool ran = false;
  watch_.make_way(std::chrono::hours(1), [&] { ran = true; });
  EXPECT_TRUE(ran);
}

TEST_F(RingWatchTest, ATaskMakesWayUntilTheRingsAreQuiet) {
  begin_burst();
  int heard = -1;
  watch_.make_way(std::chrono::hours(1), [&] { heard = handler_->heard; });
  EXPECT_EQ(heard, -1);
  run(20);
  EXPECT_EQ(heard, handler_->heard);
}

TEST_F(RingWatchTest, ATaskMakesWayForSoLongAndNoLonger) {
  bool ran_meanwhile = false;
  for (int tries = 0; tries < 100 && !ran_meanwhile; ++tries) {  // the burst ends early where this process is put aside
    begin_burst();
    watch_.make_way(std::chrono::microseconds(10), [&] { ran_meanwhile = ring_->is_watched(); });
    run(1000);
  }
  EXPECT_TRUE(ran_meanwhile);
}

}  // namespace
}  // namespace tensorbroker::broker
