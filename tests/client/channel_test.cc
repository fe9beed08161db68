// The channel against the other end of a real socket pair, where the test plays the broker byte by byte.

#include "client/channel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "client/calls.h"
#include "proto/frame.h"
#include "tests/support/broker_process.h"
#include "tests/support/local_rings.h"

namespace tensorbroker {
namespace {

using Outcome = Channel::Outcome;

Frame message(std::uint64_t sequence, std::uint64_t value) {
  flatbuffers::FlatBufferBuilder b;
  const auto count = schema::CreateCount(b, value);
  const auto item = schema::CreateReplyItem(b, 0, 0, schema::Reply::Count, count.Union());
  b.Finish(schema::CreateReplyMessage(b, sequence, b.CreateVector(&item, 1)));
  const auto* bytes = reinterpret_cast<const std::byte*>(b.GetBufferPointer());
  return {bytes, bytes + b.GetSize()};
}

std::uint64_t value_of(const Channel::Result& result) {
  const ReplyFrame reply{result.frame, result.epoch};
  return body_of<schema::Count>(reply.item()).value();
}

std::uint64_t sequence_of(const Frame& request) {
  return flatbuffers::GetRoot<schema::RequestMessage>(request.data())->sequence();
}

class Line : public testing::Test {
 protected:
  Line() { reopen(); }

  void reopen() {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) abort();
    client_fd_ = ends[0];
    epoch_ = channel_.open(std::make_shared<Socket>(ends[0]));
    broker_ = std::make_unique<Socket>(ends[1]);
    reader_ = FrameReader();
  }

  static Limit soon() { return Limit::in(std::chrono::seconds(20)); }
  static Frame request(std::uint64_t sequence) { return build_locked(sequence); }

  // The next request at the broker's end.
  Frame next_request() {
    const Limit limit = soon();
    for (;;) {
      if (auto frame = reader_.next()) return *frame;
      if (!reader_.read(*broker_) || limit.passed()) return {};
      if (auto frame = reader_.next()) return *frame;
      broker_->poll(POLLIN, std::chrono::milliseconds(50));
    }
  }
  void answer(std::uint64_t sequence, std::uint64_t value) {
    EXPECT_TRUE(write_frame(*broker_, message(sequence, value), soon()));
  }

  Channel channel_{build_ring()};
  std::unique_ptr<Socket> broker_;
  FrameReader reader_;
  int client_fd_ = -1;
  std::uint64_t epoch_ = 0;
};

TEST_F(Line, ACallGetsTheReplyOfItsSequence) {
  std::thread broker([&] {
    EXPECT_EQ(sequence_of(next_request()), 7u);
    answer(99, 1);  // nobody's
    answer(7, 42);
  });
  const auto result = channel_.call(7, request(7), soon());
  broker.join();
  ASSERT_EQ(result.outcome, Outcome::kReplied);
  EXPECT_TRUE(result.was_sent);
  EXPECT_EQ(result.epoch, epoch_);
  EXPECT_EQ(value_of(result), 42u);
}

// Replies come in any order, and one thread reads for all.
TEST_F(Line, ManyThreadsHaveCallsOutstandingAtOnce) {
  constexpr std::uint64_t kThreads = 8;
  constexpr std::uint64_t kCalls = 200;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::thread broker([&] {
    std::minstd_rand random(seed);
    std::vector<std::uint64_t> waiting;
    for (std::uint64_t answered = 0; answered < kThreads * kCalls; ++answered) {
      if (waiting.empty()) {
        const Frame frame = next_request();
        ASSERT_FALSE(frame.empty());
        waiting.push_back(sequence_of(frame));
      }
      reader_.read(*broker_);
      while (const auto frame = reader_.next()) waiting.push_back(sequence_of(*frame));
      std::shuffle(waiting.begin(), waiting.end(), random);
      answer(waiting.back(), waiting.back() * 3);
      waiting.pop_back();
    }
  });
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < kCalls; ++i) {
        const std::uint64_t sequence = 1 + t * kCalls + i;
        const auto result = channel_.call(sequence, request(sequence), soon());
        if (result.outcome != Outcome::kReplied || value_of(result) != sequence * 3) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  broker.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(Line, ACallWhoseSocketEndsIsLostAndCanBeRepeatedOnTheNext) {
  std::thread broker([&] {
    next_request();
    broker_.reset();
  });
  const auto lost = channel_.call(1, request(1), soon());
  broker.join();
  EXPECT_EQ(lost.outcome, Outcome::kLost);
  EXPECT_TRUE(lost.was_sent) << "what it asked may have happened";
  EXPECT_FALSE(channel_.is_open());
  EXPECT_FALSE(channel_.call(1, request(1), soon()).was_sent);
  const std::uint64_t before = epoch_;
  reopen();
  EXPECT_GT(epoch_, before);
  std::thread again([&] { answer(sequence_of(next_request()), 5); });
  EXPECT_EQ(value_of(channel_.call(1, request(1), soon())), 5u);
  again.join();
}

TEST_F(Line, ATimeoutDropsTheSocketSoThatALateReplyIsNobodys) {
  const auto result = channel_.call(1, request(1), Limit::in(std::chrono::milliseconds(30)));
  EXPECT_EQ(result.outcome, Outcome::kTimedOut);
  EXPECT_FALSE(channel_.is_open());
  next_request();
  EXPECT_TRUE(next_request().empty()) << "the other end sees it closed";
}

TEST_F(Line, ClosingTheClientEndsACall) {
  std::atomic<bool> closed{false};
  std::thread closer([&] {
    next_request();
    closed = true;
  });
  const auto result = channel_.call(1, request(1), Limit::in(std::chrono::seconds(20), &closed));
  closer.join();
  EXPECT_EQ(result.outcome, Outcome::kClosed);
}

TEST_F(Line, BytesThatAreNoReplyEndTheSocket) {
  ASSERT_TRUE(write_frame(*broker_, Frame(16, std::byte{0xff}), soon()));
  EXPECT_EQ(channel_.call(1, request(1), soon()).outcome, Outcome::kLost);
}

TEST_F(Line, AnImpossibleLengthEndsTheSocket) {
  const std::uint32_t length = 0xffffffff;
  ASSERT_EQ(send(broker_->fd(), &length, sizeof length, 0), ssize_t{sizeof length});
  EXPECT_EQ(channel_.call(1, request(1), soon()).outcome, Outcome::kLost);
}

TEST_F(Line, AReplyMayComeByteByByte) {
  std::thread broker([&] {
    const Frame frame = message(sequence_of(next_request()), 9);
    const auto length = static_cast<std::uint32_t>(frame.size());
    const auto prefix = std::as_bytes(std::span(&length, 1));
    for (const std::byte byte : prefix) ASSERT_EQ(send(broker_->fd(), &byte, 1, 0), 1);
    for (const std::byte byte : frame) ASSERT_EQ(send(broker_->fd(), &byte, 1, 0), 1);
  });
  EXPECT_EQ(value_of(channel_.call(1, request(1), soon())), 9u);
  broker.join();
}

TEST_F(Line, AKeptReplyIsThereWhenItIsAskedFor) {
  ASSERT_TRUE(channel_.post_and_keep(1, request(1), epoch_));
  EXPECT_FALSE(channel_.post(request(2), epoch_ + 1)) << "another connection's";
  EXPECT_EQ(channel_.take(1, epoch_, Limit::in(std::chrono::milliseconds(10))).outcome, Outcome::kTimedOut);
  EXPECT_TRUE(channel_.is_open()) << "it may still come";
  answer(1, 11);
  EXPECT_EQ(value_of(channel_.take(1, epoch_, soon())), 11u);
  EXPECT_EQ(channel_.take(1, epoch_, soon()).outcome, Outcome::kLost) << "once";
}

TEST_F(Line, TheDoorbellIsAFrameOfItsOwn) {
  channel_.ring();
  const Frame frame = next_request();
  ASSERT_FALSE(frame.empty());
  EXPECT_EQ(flatbuffers::GetRoot<schema::RequestMessage>(frame.data())->items()->Get(0)->body_type(),
            schema::Request::Ring);
}

TEST_F(Line, TheDoorbellNeverWaits) {
  const std::vector<std::byte> filler(1 << 16);
  while (send(client_fd_, filler.data(), filler.size(), MSG_DONTWAIT) > 0) {
  }
  channel_.ring();  // would not return
  EXPECT_TRUE(channel_.is_open());
}

// Bells rung while other threads send: each is followed by one on the wire, and no frame is torn.
TEST_F(Line, NoDoorbellIsLostAndNoFrameTornBesideSenders) {
  constexpr int kSenders = 3;
  constexpr int kFrames = 300;
  std::atomic<int> sending{kSenders};
  std::atomic<std::uint64_t> next{1};
  std::vector<std::thread> threads;
  for (int t = 0; t < kSenders; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kFrames; ++i) {
        const std::uint64_t sequence = next++;
        EXPECT_TRUE(channel_.post(request(sequence), epoch_));
      }
      --sending;
    });
  }
  std::thread bell([&] {
    do channel_.ring();
    while (sending > 0);
  });
  int frames = 0;
  int rings = 0;
  bool ended = false;
  while (frames < kSenders * kFrames || !ended) {
    if (frames == kSenders * kFrames) {
      ended = true;  // all senders are done: one more bell, and it is on the wire when ring() returned
      bell.join();
      rings = 0;
      channel_.ring();
    }
    const Frame frame = next_request();
    ASSERT_FALSE(frame.empty());
    const auto* item = flatbuffers::GetRoot<schema::RequestMessage>(frame.data())->items()->Get(0);
    (item->body_type() == schema::Request::Ring ? rings : frames) += 1;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(rings, 0);
}

// A user who closes what is not his, and whose own file then gets the number.
TEST_F(Line, ADescriptorThatTheUserClosedIsLeftAlone) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
  ASSERT_EQ(dup3(ends[1], client_fd_, O_CLOEXEC), client_fd_);
  EXPECT_EQ(channel_.call(1, request(1), soon()).outcome, Outcome::kLost);
  channel_.ring();
  channel_.drop(epoch_);
  EXPECT_GE(fcntl(client_fd_, F_GETFD), 0) << "not closed";
  char byte = 0;
  EXPECT_EQ(read(ends[0], &byte, 1), -1) << "nothing was written to it";
  for (const int fd : {ends[0], ends[1], client_fd_}) close(fd);
}

// ---------------------------------------------------------------- command rings

class RingLine : public Line {
 protected:
  RingLine() { take_rings(); }

  void take_rings() {
    requests_.emplace(RingReader::at_end(memory_.rings().requests));
    replies_.emplace(memory_.rings().replies);
    requests_->wake_up();
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) abort();
    epoch_ = channel_.open(std::make_shared<Socket>(ends[0]), memory_.rings());
    broker_ = std::make_unique<Socket>(ends[1]);
    reader_ = FrameReader();
  }

  // The next request in the ring.
  Frame next_in_ring() {
    const Limit limit = soon();
    Frame frame;
    while (requests_->read(&frame) == RingReader::Read::kNothing) {
      if (limit.passed()) return {};
      std::this_thread::yield();
    }
    return frame;
  }
  void answer_by_ring(std::uint64_t sequence, std::uint64_t value) {
    const auto written = replies_->write(message(sequence, value));
    EXPECT_NE(written, RingWriter::Written::kNoRoom);
    if (written == RingWriter::Written::kUnseen) answer(0, 0);
  }

  test::LocalRings memory_;
  std::optional<RingReader> requests_;
  std::optional<RingWriter> replies_;
};

TEST_F(RingLine, ABrokerThatSleepsIsSentTheRequestByTheSocket) {
  requests_->fall_asleep();
  std::thread broker([&] {
    EXPECT_EQ(sequence_of(next_request()), 7u);
    answer(7, 42);
  });
  const auto result = channel_.call(7, request(7), soon());
  broker.join();
  ASSERT_EQ(result.outcome, Outcome::kReplied);
  EXPECT_TRUE(result.was_sent);
  EXPECT_EQ(value_of(result), 42u);
}

TEST_F(RingLine, ARequestByTheSocketMayBeAnsweredByTheRing) {
  requests_->fall_asleep();
  std::thread broker([&] {
    EXPECT_EQ(sequence_of(next_request()), 8u);
    answer_by_ring(8, 88);
  });
  EXPECT_EQ(value_of(channel_.call(8, request(8), soon())), 88u);
  broker.join();
}

TEST_F(RingLine, WhatIsKeptGoesThroughTheRingWhereTheBrokerLooks) {
  std::optional<Channel::Way> way;
  for (std::uint64_t n = 1; n <= 3; ++n) {
    way = channel_.post_and_keep(n, request(n), epoch_, way);
    ASSERT_EQ(way, Channel::Way::kRing);
  }
  for (std::uint64_t n = 1; n <= 3; ++n) {
    EXPECT_EQ(sequence_of(next_in_ring()), n);
    answer_by_ring(n, n * 10);
  }
  for (std::uint64_t n = 1; n <= 3; ++n) EXPECT_EQ(value_of(channel_.take(n, epoch_, soon())), n * 10);
}

TEST_F(RingLine, WhatIsKeptOvertakesNothing) {
  requests_->fall_asleep();
  auto way = channel_.post_and_keep(1, request(1), epoch_);
  ASSERT_EQ(way, Channel::Way::kSocket);
  requests_->wake_up();
  EXPECT_EQ(channel_.post_and_keep(2, request(2), epoch_, way), Channel::Way::kSocket) << "the first may be unread";
  way = channel_.post_and_keep(3, request(3), epoch_);
  ASSERT_EQ(way, Channel::Way::kRing) << "after nothing";
  EXPECT_EQ(sequence_of(next_in_ring()), 3u);
  ASSERT_TRUE(requests_->fall_asleep());
  EXPECT_EQ(channel_.post_and_keep(4, request(4), epoch_, way), std::nullopt);
  EXPECT_TRUE(channel_.is_open());
  EXPECT_EQ(channel_.take(4, epoch_, soon()).outcome, Outcome::kLost) << "it was not sent";
}

TEST_F(RingLine, ABrokerThatLooksIsNotRung) {
  std::thread broker([&] {
    for (std::uint64_t n = 1; n <= 1000; ++n) {
      EXPECT_EQ(sequence_of(next_in_ring()), n);
      answer_by_ring(n, n);
    }
  });
  for (std::uint64_t n = 1; n <= 1000; ++n) EXPECT_EQ(value_of(channel_.call(n, request(n), soon())), n);
  broker.join();
  EXPECT_FALSE(reader_.next());
  EXPECT_TRUE(reader_.read(*broker_));
  EXPECT_FALSE(reader_.next()) << "nothing came by the socket";
}

TEST_F(RingLine, AClientThatSleepsIsWoken) {
  std::thread broker([&] {
    next_in_ring();
    EXPECT_TRUE(test::eventually([&] { return memory_.control().replies_asleep.load() == 1; }));
    answer_by_ring(3, 33);
  });
  const auto result = channel_.call(3, request(3), soon());
  broker.join();
  ASSERT_EQ(result.outcome, Outcome::kReplied);
  EXPECT_EQ(value_of(result), 33u);
}

TEST_F(RingLine, WhatDoesNotFitGoesThroughTheSocket) {
  std::uint64_t n = 0;
  while (memory_.control().requests_tail.load() + 100 < kCommandRingWords) {
    ++n;
    channel_.post_and_keep(n, request(n), epoch_);
  }
  const Frame large(2000, std::byte{1});
  ++n;
  EXPECT_EQ(channel_.post_and_keep(n, large, epoch_), Channel::Way::kSocket);
  for (;;) {
    const Frame frame = next_request();
    ASSERT_FALSE(frame.empty());
    if (frame.size() == large.size()) break;
  }
}

TEST_F(RingLine, RepliesThatNoBrokerWritesLoseTheLine) {
  std::thread broker([&] {
    next_in_ring();
    memory_.control().replies_tail.store(3);       // of no length
    write_frame(*broker_, message(0, 0), soon());  // a client that looks may have gone by now
  });
  EXPECT_EQ(channel_.call(5, request(5), soon()).outcome, Outcome::kLost);
  broker.join();
}

TEST_F(RingLine, ALostLinesRequestsAreNotTheNextOnes) {
  EXPECT_EQ(channel_.post_and_keep(1, request(1), epoch_), Channel::Way::kRing);
  channel_.drop(epoch_);
  EXPECT_FALSE(channel_.post_and_keep(2, request(2), epoch_)) << "the rings are not touched any more";
  take_rings();
  EXPECT_EQ(channel_.post_and_keep(3, request(3), epoch_), Channel::Way::kRing);
  EXPECT_EQ(sequence_of(next_in_ring()), 3u);
}

TEST_F(RingLine, WhatIsPostedGoesThroughTheSocketAndSoInOrder) {
  EXPECT_TRUE(channel_.post(request(1), epoch_));
  EXPECT_TRUE(channel_.post(request(2), epoch_));
  EXPECT_EQ(memory_.control().requests_tail.load(), 0u);
  for (const std::uint64_t sequence : {1, 2}) {
    const Frame frame = next_request();
    ASSERT_FALSE(frame.empty());
    EXPECT_EQ(sequence_of(frame), sequence);
  }
}

TEST_F(RingLine, ManyThreadsShareTheRings) {
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kCalls = 500;
  std::thread broker([&] {
    for (std::uint64_t n = 0; n < kThreads * kCalls; ++n) {
      const Frame frame = next_in_ring();
      ASSERT_FALSE(frame.empty());
      answer_by_ring(sequence_of(frame), sequence_of(frame) * 2);
      if (n % 64 == 0) reader_.read(*broker_);  // doorbells
      while (reader_.next()) {
      }
    }
  });
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < kCalls; ++i) {
        const std::uint64_t sequence = 1 + t * kCalls + i;
        const auto result = channel_.call(sequence, request(sequence), soon());
        ASSERT_EQ(result.outcome, Outcome::kReplied);
        ASSERT_EQ(value_of(result), sequence * 2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  broker.join();
}

}  // namespace
}  // namespace tensorbroker
