// The control connection against clients that break its rules: it costs them their connection, and nobody else
// anything.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <random>

#include "client/calls.h"
#include "client/session_lock.h"
#include "client/socket.h"
#include "proto/frame.h"
#include "proto/header.h"
#include "proto/layout.h"
#include "proto/runtime_dir.h"
#include "tests/support/broker_process.h"

namespace tensorbroker {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using std::chrono::seconds;
using test::BrokerProcess;

// The header of a float tensor of `elements` elements, as bytes.
class TensorSpecBytes {
 public:
  explicit TensorSpecBytes(std::int64_t elements = 16) {
    const TensorSpec spec{.name = "", .dtype = kFloat32, .sizes = {elements}, .strides = {1}, .offset = 0};
    bytes_ = encode_header({&spec, 1}, "");
  }
  const std::uint8_t* data() const { return reinterpret_cast<const std::uint8_t*>(bytes_.data()); }
  std::size_t size() const { return bytes_.size(); }

 private:
  std::vector<std::byte> bytes_;
};

class Protocol : public testing::Test {
 protected:
  Protocol() { client_.put("kept", from_blob(static_cast<const void*>(kData), {4}, kFloat32)); }
  ~Protocol() override {
    EXPECT_EQ(client_.get("kept").const_data_ptr<float>()[3], 3) << "the others notice nothing";
    EXPECT_EQ(client_.stats().tensors, 1u);
    EXPECT_EQ(broker_.end(SIGTERM).status, 0);
  }

  std::shared_ptr<Socket> connect() const {
    return Socket::connect(socket_path(broker_.at().runtime_dir(), broker_.at().name().instance));
  }

  static void send_raw(const Socket& socket, const void* bytes, std::size_t count) {
    // The broker may have closed its end by now: that is what is tested.
    static_cast<void>(send(socket.fd(), bytes, count, MSG_NOSIGNAL));
  }

  // Whether the broker ends this connection without a word.
  static bool is_closed(const Socket& socket) { return !read_frame(socket, Limit::in(seconds(10))).has_value(); }

  static std::optional<ReplyFrame> ask(const Socket& socket, const Frame& request) {
    if (!write_frame(socket, request, Limit::in(seconds(10)))) return std::nullopt;
    auto frame = read_frame(socket, Limit::in(seconds(10)));
    if (!frame) return std::nullopt;
    return ReplyFrame{std::move(*frame), 0};
  }

  template <class Body>
  static Frame message(schema::Request type, Body body, std::uint64_t sequence = 1) {
    Builder builder;
    const auto item = schema::CreateRequestItem(builder, type, body(builder).Union());
    const auto items = builder.CreateVector(&item, 1);
    builder.Finish(schema::CreateRequestMessage(builder, sequence, items));
    const auto* bytes = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
    return {bytes, bytes + builder.GetSize()};
  }

  static Frame hello(std::uint32_t version, std::uint64_t hash, std::uint64_t session = 0) {
    return message(schema::Request::Hello,
                   [&](Builder& b) { return schema::CreateHello(b, version, hash, getpid(), session); });
  }

  // An attached session of our own, by hand.
  struct Session {
    std::shared_ptr<Socket> socket;
    std::uint64_t id = 0;
    std::unique_ptr<SessionSegment> segment;
    std::vector<EntryId> spares;
  };
  Session attach() {
    Session session;
    session.socket = connect();
    const auto welcome = ask(*session.socket, hello(kLayoutVersion, layout_hash()));
    session.id = body_of<schema::Welcome>(welcome->item()).session();
    session.segment = map_and_lock_session(broker_.at().name(), session.id, false);
    const auto attached = ask(*session.socket, build_locked(2));
    const auto* spares = body_of<schema::Attached>(attached->item()).spares();
    session.spares.assign(spares->begin(), spares->end());
    return session;
  }

  static ErrorCode error_of(const std::optional<ReplyFrame>& reply) {
    return static_cast<ErrorCode>(reply->message().items()->Get(0)->error());
  }

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
  const Frame good = hello(kLayoutVersion, layout_hash());
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
  const auto reply = ask(*socket, hello(77, 1));
  ASSERT_TRUE(reply);
  EXPECT_EQ(error_of(reply), ErrorCode::kVersionMismatch);
  const std::string text = reply->message().items()->Get(0)->message()->str();
  EXPECT_NE(text.find("layout 77"), std::string::npos) << text;
  EXPECT_NE(text.find("layout " + std::to_string(kLayoutVersion)), std::string::npos) << text;
}

TEST_F(Protocol, ASessionThatIsNotLockedIsRefused) {
  const auto socket = connect();
  ASSERT_TRUE(ask(*socket, hello(kLayoutVersion, layout_hash())));
  const auto reply = ask(*socket, build_locked(2));
  ASSERT_TRUE(reply);
  EXPECT_NE(error_of(reply), ErrorCode::kOk);
  EXPECT_TRUE(is_closed(*socket));
  EXPECT_TRUE(test::eventually([&] { return client_.stats().sessions == 1; }));
}

TEST_F(Protocol, SomebodyElsesSessionCannotBeResumed) {
  const Session victim = attach();
  const auto socket = connect();
  const auto unknown = ask(*socket, hello(kLayoutVersion, layout_hash(), victim.id + 1000));
  ASSERT_TRUE(unknown);
  EXPECT_NE(error_of(unknown), ErrorCode::kOk);
}

TEST_F(Protocol, PublicationsOfWhatIsNotOnesOwnAreRefused) {
  Session session = attach();
  const TensorSpecBytes header;
  const auto publish = [&](EntryId entry, std::uint64_t offset, std::uint64_t bytes, const std::string& name) {
    return error_of(ask(*session.socket, message(
                                             schema::Request::Publish,
                                             [&](Builder& b) {
                                               const auto text = b.CreateString(name);
                                               const auto data = b.CreateVector(header.data(), header.size());
                                               return schema::CreatePublish(b, entry, text, data, offset, bytes);
                                             },
                                             ++sequence_)));
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

TEST_F(Protocol, ARepeatedMutationTakesEffectOnce) {
  Session session = attach();
  const TensorSpecBytes header(0);
  const auto publish = [&] {
    const auto reply = ask(*session.socket, message(
                                                schema::Request::Publish,
                                                [&](Builder& b) {
                                                  const auto text = b.CreateString("once");
                                                  const auto data = b.CreateVector(header.data(), header.size());
                                                  return schema::CreatePublish(b, session.spares[0], text, data, 0, 0);
                                                },
                                                1));
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
    Session session = attach();
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
  Session session = attach();
  SessionControl& control = session.segment->control();
  control.lease_high_water.store(~std::uint64_t{0});
  control.returns_tail.store(~std::uint64_t{0} / 2);
  control.waiters.store(~std::uint64_t{0});
  for (std::uint32_t i = 0; i < kInitialLeases; ++i) session.segment->lease(i).store(~std::uint64_t{0} - i);
  for (int i = 0; i < 5; ++i) client_.put("passing", from_blob(static_cast<const void*>(kData), {4}, kFloat32));
  client_.remove("passing");
  EXPECT_TRUE(test::eventually([&] { return client_.stats().retired == 0; }));
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
