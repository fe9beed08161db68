// The control connection against clients that break its rules: it costs them their connection, and nobody else
// anything.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <ctime>
#include <random>

#include "proto/frame.h"
#include "tests/support/raw_client.h"

namespace tensorbroker {
namespace {

using std::chrono::seconds;
using test::ask;
using test::attach_raw;
using test::BrokerProcess;
using test::Builder;
using test::error_of;
using test::hello;
using test::is_closed;
using test::message;
using test::RawSession;
using test::send_raw;

class Protocol : public testing::Test {
 protected:
  Protocol() { client_.put("kept", from_blob(static_cast<const void*>(kData), {4}, kFloat32)); }
  ~Protocol() override {
    EXPECT_EQ(client_.get("kept").const_data_ptr<float>()[3], 3) << "the others notice nothing";
    EXPECT_EQ(client_.stats().tensors, 1u);
    EXPECT_EQ(broker_.end(SIGTERM).status, 0);
  }

  std::shared_ptr<Socket> connect() const { return test::connect_raw(broker_.at()); }

  std::uint64_t sequence_ = 10;
  static constexpr float kData[4] = {0, 1, 2, 3};
  BrokerProcess broker_;
  Client client_ = broker_.connect();
};

TEST_F(Protocol, AFrameOfAnImpossibleLengthEndsTheConnection) {
  for (const std::uint32_t length : {std::uint32_t{0}, std::uint32_t{kMaxFrameBytes + 1}, ~std::uint32_t{0}}) {
    const auto socket = connect();
    send_raw(*socket, &length, sizeof length);
    EXPECT_TRUE(is_closed(*socket)) << length;
  }
}

TEST_F(Protocol, BytesThatDoNotVerifyEndTheConnection) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 100; ++round) {
    const auto socket = connect();
    Frame garbage(1 + random() % 300);
    for (std::byte& byte : garbage) byte = static_cast<std::byte>(random());
    ASSERT_TRUE(write_frame(*socket, garbage, Limit::in(seconds(10))));
    EXPECT_TRUE(is_closed(*socket));
  }
}

TEST_F(Protocol, DamagedMessagesNeverHurt) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const Frame good = hello();
  for (int round = 0; round < 200; ++round) {
    const auto socket = connect();
    Frame damaged = good;
    for (unsigned i = 0; i <= random() % 3; ++i) damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    ASSERT_TRUE(write_frame(*socket, damaged, Limit::in(seconds(10))));
    socket->shut_down();
  }
  EXPECT_TRUE(test::eventually([&] { return client_.stats().sessions == 1; }));
}

TEST_F(Protocol, AnythingBeforeHelloEndsTheConnection) {
  const auto socket = connect();
  ASSERT_TRUE(write_frame(*socket, message(schema::Request::Stats, [](Builder& b) { return schema::CreateStats(b); }),
                          Limit::in(seconds(10))));
  EXPECT_TRUE(is_closed(*socket));
}

TEST_F(Protocol, AnotherLayoutIsToldBothVersions) {
  const auto socket = connect();
  const auto reply = ask(*socket, hello(0, getpid(), 77, 1));
  ASSERT_TRUE(reply);
  EXPECT_EQ(error_of(reply), ErrorCode::kVersionMismatch);
  const std::string text = test::text_of(reply);
  EXPECT_NE(text.find("layout 77"), std::string::npos) << text;
  EXPECT_NE(text.find("layout " + std::to_string(kLayoutVersion)), std::string::npos) << text;
}

TEST_F(Protocol, ASessionThatIsNotLockedIsRefused) {
  const auto socket = connect();
  ASSERT_TRUE(ask(*socket, hello()));
  const auto reply = ask(*socket, build_locked(2));
  ASSERT_TRUE(reply);
  EXPECT_NE(error_of(reply), ErrorCode::kOk);
  EXPECT_TRUE(is_closed(*socket));
  EXPECT_TRUE(test::eventually([&] { return client_.stats().sessions == 1; }));
}

TEST_F(Protocol, SomebodyElsesSessionCannotBeResumed) {
  const RawSession victim = attach_raw(broker_.at());
  const auto socket = connect();
  const auto unknown = ask(*socket, hello(victim.id + 1000));
  ASSERT_TRUE(unknown);
  EXPECT_NE(error_of(unknown), ErrorCode::kOk);
}

TEST_F(Protocol, PublicationsOfWhatIsNotOnesOwnAreRefused) {
  RawSession session = attach_raw(broker_.at());
  const std::vector<std::byte> header = test::float_header(16);
  const auto publish = [&](EntryId entry, std::uint64_t offset, std::uint64_t bytes, const std::string& name) {
    return error_of(ask(*session.socket, test::publication(entry, name, header, offset, bytes, ++sequence_)));
  };
  const Tensor kept = client_.get("kept");
  EXPECT_EQ(publish(session.spares[0], 4096, 64, "x"), ErrorCode::kInvalidArgument) << "no extent of its own";
  EXPECT_EQ(publish(session.spares[0], ~std::uint64_t{63}, 64, "x"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(publish(session.spares[0] + 1000, 4096, 64, "x"), ErrorCode::kInvalidArgument) << "no spare of its own";
  EXPECT_EQ(publish(session.spares[0], 4096, 64, "kept"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(publish(session.spares[0], 4096, 64, "a\nb"), ErrorCode::kInvalidArgument);
  const auto granted =
      ask(*session.socket,
          message(schema::Request::Grant, [](Builder& b) { return schema::CreateGrant(b, 8192); }, ++sequence_));
  const auto& extent = body_of<schema::Granted>(granted->item());
  EXPECT_EQ(publish(session.spares[0], extent.offset() + 1, 64, "x"), ErrorCode::kInvalidArgument) << "misaligned";
  EXPECT_EQ(publish(session.spares[0], extent.offset() + extent.bytes() - 64, 128, "x"), ErrorCode::kInvalidArgument);
  const auto foreign = ask(*session.socket, message(
                                                schema::Request::GiveBack,
                                                [](Builder& b) {
                                                  const std::uint32_t id = 0;
                                                  return schema::CreateGiveBack(b, b.CreateVector(&id, 1));
                                                },
                                                ++sequence_));
  EXPECT_EQ(error_of(foreign), ErrorCode::kInvalidArgument);
}

TEST_F(Protocol, APublicationWithoutAHeaderIsRefused) {
  RawSession session = attach_raw(broker_.at());
  const auto bare = [&](Builder& b) { return schema::CreatePublish(b, session.spares[0], b.CreateString("bare")); };
  EXPECT_EQ(error_of(ask(*session.socket, message(schema::Request::Publish, bare, ++sequence_))),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(error_of(ask(*session.socket, test::publication(session.spares[0], "bare", {}, 0, 0, ++sequence_))),
            ErrorCode::kInvalidArgument);
}

TEST_F(Protocol, ARepeatedMutationTakesEffectOnce) {
  RawSession session = attach_raw(broker_.at());
  const std::vector<std::byte> header = test::float_header(0);
  const auto publish = [&] {
    const auto reply = ask(*session.socket, test::publication(session.spares[0], "once", header, 0, 0, 1));
    return body_of<schema::Published>(reply->item()).generation();
  };
  const std::uint64_t generation = publish();
  const std::uint64_t publications = client_.stats().counters.at("publications");
  EXPECT_EQ(publish(), generation);
  EXPECT_EQ(client_.stats().counters.at("publications"), publications);
  client_.remove("once");
}

TEST_F(Protocol, ATruncatedSessionSegmentCostsItsClientAlone) {
  std::span<std::byte> mapped;
  {
    RawSession session = attach_raw(broker_.at());
    ASSERT_EQ(truncate(("/dev/shm/" + broker_.at().name().segment(SegmentKind::kSession, session.id)).c_str(), 0), 0);
    client_.put("passing", from_blob(static_cast<const void*>(kData), {4}, kFloat32));  // the broker scans the leases
    client_.remove("passing");
    EXPECT_EQ(client_.stats().counters.count("publications"), 1u);
    mapped = {session.segment->segment().data(), session.segment->segment().size()};
    session.segment->segment().release();  // still mapped, and so locked; whoever touches the pages gets SIGBUS
  }
  EXPECT_TRUE(test::eventually([&] { return client_.stats().sessions == 1; }));
  munmap(mapped.data(), mapped.size());
}

TEST_F(Protocol, GarbageInASessionSegmentCostsItsClientAlone) {
  RawSession session = attach_raw(broker_.at());
  SessionControl& control = session.segment->control();
  control.lease_high_water.store(~std::uint64_t{0});
  control.returns_tail.store(~std::uint64_t{0} / 2);
  control.waiters.store(~std::uint64_t{0});
  for (std::uint32_t i = 0; i < kInitialLeases; ++i) session.segment->lease(i).store(~std::uint64_t{0} - i);
  for (int i = 0; i < 5; ++i) client_.put("passing", from_blob(static_cast<const void*>(kData), {4}, kFloat32));
  client_.remove("passing");
  EXPECT_TRUE(test::eventually([&] { return client_.stats().retired == 0; }));
}

// ---------------------------------------------------------------- command rings

// Has the broker look at the session's ring.
void ring_doorbell(const RawSession& session) {
  ASSERT_TRUE(write_frame(*session.socket, build_ring(), Limit::in(seconds(10))));
}

Frame stats_request(std::uint64_t sequence) {
  return message(schema::Request::Stats, [](Builder& b) { return schema::CreateStats(b); }, sequence);
}

// The sequence of the next reply in the session's ring; 0 where none comes.
std::uint64_t next_reply(RingReader& replies) {
  Frame frame;
  if (!test::eventually([&] { return replies.read(&frame) == RingReader::Read::kFrame; })) return 0;
  return reply_sequence(frame).value_or(0);
}

TEST_F(Protocol, ARequestThroughTheRingIsAnsweredThroughTheRing) {
  const RawSession session = attach_raw(broker_.at());
  RingWriter requests(session.segment->command_rings().requests);
  RingReader replies(session.segment->command_rings().replies);
  for (std::uint64_t n = 100; n < 110; ++n) ASSERT_NE(requests.write(stats_request(n)), RingWriter::Written::kNoRoom);
  ring_doorbell(session);
  for (std::uint64_t n = 100; n < 110; ++n) EXPECT_EQ(next_reply(replies), n);
  EXPECT_EQ(error_of(ask(*session.socket, stats_request(110))), ErrorCode::kOk) << "and one by the socket there";
}

TEST_F(Protocol, RequestsThatWereWrittenForALostConnectionArePassedOver) {
  RawSession session = attach_raw(broker_.at());
  RingWriter requests(session.segment->command_rings().requests);
  RingReader replies(session.segment->command_rings().replies);
  requests.write(stats_request(100));
  session.socket = connect();
  ASSERT_EQ(error_of(ask(*session.socket, hello(session.id))), ErrorCode::kOk);
  requests.write(stats_request(101));
  ring_doorbell(session);
  EXPECT_EQ(next_reply(replies), 101u);
}

TEST_F(Protocol, GarbageInACommandRingEndsTheConnection) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 30; ++round) {
    const RawSession session = attach_raw(broker_.at());
    const CommandRing& ring = session.segment->command_rings().requests;
    if (round % 2 == 0) {  // a frame that is none
      Frame garbage(1 + random() % 300);
      for (std::byte& byte : garbage) byte = static_cast<std::byte>(random());
      RingWriter(ring).write(garbage);
    } else {  // no frame at all
      for (std::uint32_t i = 0; i < kCommandRingWords; ++i) ring.words[i].store(random());
      ring.tail->store(random() | 1);
    }
    ring_doorbell(session);
    EXPECT_TRUE(is_closed(*session.socket)) << "round " << round;
  }
}

TEST_F(Protocol, AClientThatNeverReadsItsReplyRingIsStillAnswered) {
  const RawSession session = attach_raw(broker_.at());
  RingWriter requests(session.segment->command_rings().requests);
  std::uint64_t sequence = 100;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 10; ++i) requests.write(stats_request(++sequence));
    ring_doorbell(session);
    const CommandRing& ring = session.segment->command_rings().requests;
    ASSERT_TRUE(test::eventually([&] { return ring.head->load() == ring.tail->load(); }));
  }
  // The ring was full long before: the rest came by the socket.
  const auto frame = read_frame(*session.socket, Limit::in(seconds(10)));
  ASSERT_TRUE(frame);
  EXPECT_GT(reply_sequence(*frame).value_or(0), 100u);
}

// All that the process has used until now.
std::chrono::nanoseconds processor_time(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) return std::chrono::nanoseconds(-1);
  return seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

TEST_F(Protocol, ABrokerSleepsAgainAfterABurst) {
  for (int i = 0; i < 2000; ++i) client_.put("kept", from_blob(static_cast<const void*>(kData), {4}, kFloat32));
  EXPECT_TRUE(test::eventually([&] {
    const auto before = processor_time(broker_.pid());
    usleep(300'000);
    return before.count() > 0 && processor_time(broker_.pid()) == before;
  }));
}

TEST_F(Protocol, ASilentConnectionHoldsNothingUp) {
  std::vector<std::shared_ptr<Socket>> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(connect());
  const std::uint32_t length = 1000;
  for (const auto& socket : silent) send_raw(*socket, &length, sizeof length);
  client_.put("passing", from_blob(static_cast<const void*>(kData), {4}, kFloat32));
  client_.remove("passing");
}

}  // namespace
}  // namespace tensorbroker
