// Turns: one connection's flood does not keep another one from being heard.

#include "broker/connection.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "broker/processor.h"
#include "broker/ring_watch.h"
#include "proto/frame.h"
#include "tests/support/local_rings.h"

namespace tensorbroker::broker {
namespace {

// Notes what it hears, and takes the whole turn for each frame; `calls`: how often one frame is handled until its end.
class Listener : public ChannelHandler {
 public:
  Listener(char name, std::string& heard, int calls, const std::function<void()>& after_frame)
      : name_(name), heard_(heard), calls_(calls), after_frame_(after_frame) {}

  bool on_frame(std::span<const std::byte>, Transport, Deadline turn_ends) override {
    while (Deadline::clock::now() < turn_ends) {
    }
    heard_ += name_;
    if (after_frame_) after_frame_();
    if (++called_ < calls_) return false;
    called_ = 0;
    return true;
  }
  bool greeted() const noexcept override { return true; }
  void on_closed() override {}

 private:
  char name_;
  std::string& heard_;
  int calls_;
  const std::function<void()>& after_frame_;
  int called_ = 0;
};

class ConnectionTest : public testing::Test {
 protected:
  ~ConnectionTest() override {
    for (const int fd : peers_) ::close(fd);
  }

  // A connection whose peer has sent so many frames already.
  void add(char name, int frames, int calls = 1, pid_t pid = 1) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peers_.push_back(ends[1]);
    Connection::Socket socket(loop_.context());
    socket.assign(boost::asio::local::stream_protocol(), ends[0]);
    const auto connection = std::make_shared<Connection>(loop_, turns_, rings_, std::move(socket),
                                                         Peer{.pid = pid, .uid = 0}, nullptr, std::chrono::seconds(0));
    connections_.push_back(connection);
    connection->start(std::make_shared<Listener>(name, heard_, calls, after_frame_));
    const std::uint32_t length = 8;
    for (int i = 0; i < frames; ++i) {
      char frame[kFrameLengthBytes + 8] = {};
      std::memcpy(frame, &length, sizeof length);
      ASSERT_EQ(send(ends[1], frame, sizeof frame, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof frame));
    }
  }
  // A connection whose peer has written so many frames to its request ring already.
  void add_by_ring(char name, int frames, pid_t pid) {
    add(name, 0, calls_by_ring_, pid);
    const CommandRings rings = memory_.emplace_back().rings();
    connections_.back()->use_rings(rings);
    RingWriter writer(rings.requests);
    for (int i = 0; i < frames; ++i) ASSERT_NE(writer.write(std::array<std::byte, 8>{}), RingWriter::Written::kNoRoom);
    const std::uint32_t length = 8;  // one frame by the socket, since the broker sleeps
    ASSERT_EQ(send(peers_.back(), &length, sizeof length, MSG_NOSIGNAL), 4);
    ASSERT_EQ(send(peers_.back(), "doorbell", 8, MSG_NOSIGNAL), 8);
  }
  // Runs the loop until so much was heard.
  void run_until_heard(std::size_t count) {
    watch(count);
    loop_.run();
  }

 private:
  void watch(std::size_t count) {
    if (heard_.size() >= count) return loop_.stop();
    loop_.post([this, count] { watch(count); });
  }

 protected:
  EventLoop loop_;
  Turns turns_{loop_, [] {}};
  RingWatch rings_{loop_, turns_, [this](unsigned processor) {
                     left_.push_back(processor);
                     return true;
                   }};
  std::vector<unsigned> left_;
  std::string heard_;
  std::vector<int> peers_;
  std::vector<std::shared_ptr<Connection>> connections_;
  std::list<test::LocalRings> memory_;
  int calls_by_ring_ = 1;
  std::function<void()> after_frame_;
};

TEST_F(ConnectionTest, AFloodLeavesTheOthersTheirTurns) {
  add('f', 200);
  add('a', 1);
  add('b', 2);
  run_until_heard(203);
  EXPECT_LT(heard_.find('a'), 8u) << heard_;
  EXPECT_LT(heard_.rfind('b'), 16u) << heard_;
  EXPECT_EQ(std::count(heard_.begin(), heard_.end(), 'f'), 200);
}

TEST_F(ConnectionTest, AMessageThatTakesLongIsHandledInTurns) {
  add('f', 1, 100);
  add('a', 1);
  run_until_heard(101);
  EXPECT_LT(heard_.find('a'), 8u) << heard_;
  EXPECT_EQ(std::count(heard_.begin(), heard_.end(), 'f'), 100);
}

TEST_F(ConnectionTest, ManyConnectionsOfAProcessHaveTheTurnsOfOne) {
  for (int i = 0; i < 50; ++i) add('f', 4);
  add('a', 20, 1, 2);
  run_until_heard(220);
  EXPECT_LT(heard_.rfind('a'), 150u) << heard_;
}

TEST_F(ConnectionTest, WhatComesThroughARingHasItsProcesssTurns) {
  add_by_ring('f', 200, 1);
  add('a', 20, 1, 2);
  run_until_heard(221);
  EXPECT_EQ(std::count(heard_.begin(), heard_.end(), 'f'), 201);
  EXPECT_LT(heard_.rfind('a'), 60u) << heard_;
}

TEST_F(ConnectionTest, AMessageThroughARingThatTakesLongIsHandledInTurns) {
  calls_by_ring_ = 50;
  add_by_ring('f', 2, 1);
  add('a', 1, 1, 2);
  run_until_heard(151);
  EXPECT_LT(heard_.find('a'), 8u) << heard_;
  EXPECT_EQ(std::count(heard_.begin(), heard_.end(), 'f'), 150);
}

class Placement : public ConnectionTest {
 protected:
  void SetUp() override {
    if (!has_processors_to_spare()) GTEST_SKIP() << "with one processor no ring is looked at";
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(own_, &only);
    ASSERT_EQ(sched_setaffinity(0, sizeof only, &only), 0);
  }
  void TearDown() override {
    if (has_processors_to_spare()) sched_setaffinity(0, sizeof before_, &before_);
  }
  // A burst of a client that ran there.
  void add_burst_from(char name, unsigned processor, int requests = 50) {
    add_by_ring(name, requests, 1);
    memory_.back().control().requests_processor.store(processor + 1);
  }

  cpu_set_t before_{};
  const unsigned own_ = own_processor();
};

TEST_F(Placement, TheLoopLeavesItsProcessorToAClientThatSharesItButNotAtOnceAgain) {
  add_burst_from('f', own_);
  add_burst_from('g', own_);
  const SessionControl& second = memory_.back().control();
  bool looks = false;
  after_frame_ = [&] { looks |= second.requests_asleep.load() == 0; };
  run_until_heard(102);
  EXPECT_EQ(left_, std::vector{own_});
  EXPECT_FALSE(looks) << "its client would have to wait";
}

TEST_F(Placement, TheLoopStaysForTwoRequestsInARow) {
  add_burst_from('f', own_, 1);
  run_until_heard(2);
  EXPECT_EQ(left_, std::vector<unsigned>());
}

TEST_F(Placement, TheLoopStaysWhereTheClientIsElsewhereOrSaysNothing) {
  add_burst_from('f', own_ + 1);
  add_by_ring('g', 50, 1);
  run_until_heard(102);
  EXPECT_EQ(left_, std::vector<unsigned>());
}

// Its memory is another session's or nobody's from then on.
TEST_F(ConnectionTest, ARingWhoseFrameClosesTheConnectionIsNotTouchedAfterwards) {
  add_by_ring('f', 10, 1);
  const auto connection = connections_.back();
  after_frame_ = [this, connection] {
    if (std::count(heard_.begin(), heard_.end(), 'f') == 2) connection->close("");
  };
  add('a', 20, 1, 2);
  run_until_heard(22);
  EXPECT_EQ(std::count(heard_.begin(), heard_.end(), 'f'), 2);
  EXPECT_EQ(memory_.back().control().requests_asleep.load(), 1u);
}

TEST_F(ConnectionTest, AClosedConnectionsRingIsNotTouched) {
  add_by_ring('f', 10, 1);
  connections_.back()->close("");
  memory_.clear();
  add('a', 1, 1, 2);
  run_until_heard(1);
  EXPECT_EQ(heard_, "a");
}

}  // namespace
}  // namespace tensorbroker::broker
