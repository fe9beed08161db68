// Puts that are not waited for.

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "client/bundle_layout.h"
#include "client/pending_puts.h"
#include "client/storage.h"
#include "proto/header.h"
#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

class PutNowait : public WithBroker {
 protected:
  void put(const std::string& name, float value) { client_.put_nowait(name, counting({1}, value)); }
  float value_of(const std::string& name) { return values(client_.get(name)).at(0); }
};

TEST_F(PutNowait, IsPublishedByTheTimeThatFlushReturns) {
  for (int i = 0; i < 200; ++i) put("n/" + std::to_string(i), static_cast<float>(i));
  client_.flush();
  for (int i = 0; i < 200; ++i) EXPECT_EQ(value_of("n/" + std::to_string(i)), static_cast<float>(i));
}

TEST_F(PutNowait, IsPublishedSoonWithoutAFlush) {
  put("alone", 7);
  ASSERT_TRUE(client_.wait("alone", 0, std::chrono::duration<double>(10)));
  EXPECT_EQ(value_of("alone"), 7);
}

TEST_F(PutNowait, IsPublishedByTheTimeThatCloseReturns) {
  Client other = broker_.connect();
  other.put_nowait("w", counting({1}, 3));
  other.close();
  EXPECT_EQ(value_of("w"), 3);
  EXPECT_THROW(other.put_nowait("w", counting({1})), ClosedError);
  EXPECT_THROW(other.flush(), ClosedError);
}

TEST_F(PutNowait, IsPublishedByTheTimeThatItsClientIsGone) {
  {
    Client other = broker_.connect();
    other.put_nowait("w", counting({1}, 3));
  }
  EXPECT_EQ(value_of("w"), 3);
}

TEST_F(PutNowait, HasItsPlaceAmongTheCallsOfItsThread) {
  for (int i = 0; i < 300; ++i) {
    client_.put("w", counting({1}, 1));
    put("w", 2);
    put("w", 3);
    if (i % 3 == 0) client_.put_many(std::vector<Bundle::Member>{{"w", counting({1}, 4)}});
    if (i % 3 == 1) client_.put("w", counting({1}, 4));
    if (i % 3 == 2) client_.remove("w");
    ASSERT_EQ(client_.exists("w"), i % 3 != 2) << i;
    if (i % 3 != 2) {
      ASSERT_EQ(value_of("w"), 4) << i;
    }
  }
}

// The first does not fit the ring, at which the broker will look before it looks at the socket.
TEST_F(PutNowait, ASmallOneDoesNotOvertakeALargeOne) {
  const std::string metadata = R"({"text": ")" + std::string(20'000, 'x') + R"("})";
  const SessionControl& session = client_.put("w", counting({1})).storage()->attachment()->control();
  for (int i = 0; i < 5; ++i) {
    const bool looks = test::eventually([&] {
      for (int burst = 0; burst < 20; ++burst) client_.put("burst", counting({1}));
      kill(broker_.pid(), SIGSTOP);
      if (session.requests_asleep.load() == 0) return true;
      kill(broker_.pid(), SIGCONT);
      return false;
    });
    std::thread waking([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      kill(broker_.pid(), SIGCONT);
    });
    client_.put_nowait("w", counting({1}, 1), {}, {.overwrite = true, .metadata = metadata});
    put("w", 2);
    client_.flush();
    waking.join();
    EXPECT_EQ(value_of("w"), 2) << (looks ? "it looked at the ring" : "it slept");
  }
}

TEST_F(PutNowait, SeveralAreOnTheirWayThoughNoneIsAnswered) {
  put("warm", 1);
  client_.flush();
  kill(broker_.pid(), SIGSTOP);
  for (std::size_t i = 0; i < PendingPuts::kMost; ++i) put("n/" + std::to_string(i), 1);
  EXPECT_FALSE(client_.exists("n/0"));
  kill(broker_.pid(), SIGCONT);
  client_.flush();
  EXPECT_EQ(client_.list("n/").size(), PendingPuts::kMost);
}

TEST_F(PutNowait, LargeOnesAreAnsweredBeforeMuchIsHeld) {
  const std::vector<float> data(PublishBatch::kMostBytes / sizeof(float) / 2);
  const auto size = static_cast<std::int64_t>(data.size());
  for (int i = 0; i < 100; ++i) client_.put_nowait("w", from_blob(data.data(), {size}, kFloat32));
  EXPECT_TRUE(test::eventually([&] { return client_.stats().retired <= 2 * data.size() * sizeof(float); }));
}

// Which goes by the ring where the broker looks at that by then, though those before went by the socket.
TEST_F(PutNowait, ADraftIsPublishedAfterThoseBefore) {
  for (int round = 0; round < 300; ++round) {
    Tensor draft = client_.create("w", {1}, kFloat32);
    *draft.data_ptr<float>() = -1;
    std::this_thread::sleep_for(std::chrono::microseconds(300 + 20 * (round % 50)));
    for (std::size_t i = 0; i < PendingPuts::kMost; ++i) put("w", static_cast<float>(i));
    draft.publish();
    ASSERT_EQ(value_of("w"), -1) << "in round " << round;
  }
}

TEST_F(PutNowait, TheDataMayChangeAtOnce) {
  std::vector<float> data{1, 2};
  client_.put_nowait("w", from_blob(data.data(), {2}, kFloat32));
  data = {8, 9};
  client_.flush();
  EXPECT_EQ(values(client_.get("w")), (std::vector<float>{1, 2}));
}

TEST_F(PutNowait, ConvertsAndTakesBundlesAndMetadata) {
  client_.put_nowait("t", counting({2, 3}).t(), kFloat64, {.overwrite = true, .metadata = R"({"step": 7})"});
  client_.put_bundle_nowait("b", std::vector<Bundle::Member>{{"x", counting({2})}, {"y", counting({3})}}, kFloat16);
  client_.flush();
  EXPECT_EQ(client_.get("t").dtype(), kFloat64);
  EXPECT_EQ(client_.get("t").strides()[0], 1);
  EXPECT_EQ(client_.get("t").metadata(), R"({"step": 7})");
  EXPECT_EQ(client_.get_bundle("b").members().at(1).second.dtype(), kFloat16);
}

TEST_F(PutNowait, WhatIsWrongAtFirstSightIsThrownAtOnce) {
  EXPECT_THROW(client_.put_nowait("", counting({1})), InvalidArgumentError);
  EXPECT_THROW(client_.put_nowait("w", Tensor()), InvalidArgumentError);
  client_.put("taken", counting({1}));
  EXPECT_THROW(client_.put_nowait("taken", counting({1}), {}, {.overwrite = false, .metadata = {}}), ExistsError);
  client_.flush();
  EXPECT_EQ(client_.stats().tensors, 1u);
}

TEST(PutNowaitWithAQuota, WhatTheBrokerRefusesIsThrownByFlushOnceAndNamed) {
  const test::BrokerProcess broker({"--capacity", "256MiB", "--session-tensors", "2"});
  Client client = broker.connect();
  const float value = 1;
  const Tensor one = from_blob(static_cast<const void*>(&value), {1}, kFloat32);
  for (const char* const name : {"first", "second", "third"}) client.put_nowait(name, one);
  std::string text;
  try {
    client.flush();
  } catch (const QuotaError& e) {
    text = e.what();
  }
  EXPECT_NE(text.find("'third'"), std::string::npos) << text;
  EXPECT_TRUE(client.exists("second"));
  EXPECT_FALSE(client.exists("third"));
  client.flush();
}

TEST_F(PutNowait, LeavesNothingBehind) {
  put("warm", 1);
  client_.flush();
  const Stats before = client_.stats();
  for (int i = 0; i < 100; ++i) put("warm", static_cast<float>(i));
  client_.flush();
  EXPECT_TRUE(test::eventually([&] { return client_.stats().retired == 0; }));
  EXPECT_EQ(client_.stats().live, before.live);
  EXPECT_EQ(client_.stats().tensors, 1u);
}

TEST_F(PutNowait, ThreadsShareAClient) {
  constexpr int kThreads = 4;
  constexpr int kEach = 200;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) put(std::to_string(t) + "/" + std::to_string(i % 10), static_cast<float>(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  client_.flush();
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(value_of(std::to_string(t) + "/" + std::to_string(i)), static_cast<float>(kEach - 10 + i));
    }
  }
}

// A message that nobody comes for must not use up the numbers that all requests of the process share.
TEST_F(PutNowait, LeavesOthersTheirTurnsForAsLongAsNobodyFlushes) {
  Client other = broker_.connect();
  put("w", 1);
  for (int i = 0; i < 200; ++i) other.put("other", counting({1}, static_cast<float>(i)));
  for (int i = 0; i < 200; ++i) {
    Tensor draft = client_.create("draft", {1}, kFloat32);
    *draft.data_ptr<float>() = static_cast<float>(i);
    draft.publish();
  }
  other.put_many(std::vector<Bundle::Member>(200, {"many", counting({1}, 7)}));
  client_.flush();
  EXPECT_EQ(value_of("w"), 1);
  EXPECT_EQ(value_of("draft"), 199);
  EXPECT_EQ(value_of("many"), 7);
}

TEST_F(PutNowait, LeavesOthersTheirTurnsWhereTheBrokerWasKilled) {
  Client other = broker_.connect();
  put("w", 1);
  put("w", 2);
  broker_.end(SIGKILL);
  broker_.start();
  for (int i = 0; i < 200; ++i) other.put("other", counting({1}, static_cast<float>(i)));
  client_.flush();
  EXPECT_EQ(value_of("w"), 2);
}

// Its client is closed while it is copied: nothing of it is sent, and its memory is free again.
TEST_F(PutNowait, IsNotSentOnceItsClientIsClosed) {
  const Tensor held = client_.put("held", counting({1}));
  Attachment& attachment = *held.storage()->attachment();
  const TensorSpec spec = make_spec({}, kFloat32, held.geometry(), 0);
  const std::vector<std::byte> header = encode_header({&spec, 1}, {});
  const Limit limit = Limit::in(std::chrono::seconds(10));
  PendingPuts puts;
  const auto close_meanwhile = [&](std::byte*) { puts.close(limit); };
  EXPECT_THROW(puts.put(attachment, {.name = "w", .header = header, .nbytes = 4}, close_meanwhile, limit), ClosedError);
  EXPECT_FALSE(client_.exists("w"));
  EXPECT_EQ(attachment.allocator().drafts(), 0u);
}

TEST_F(PutNowait, OfAKilledBrokerIsCarriedOutOnceAndBeforeWhatComesAfterIt) {
  for (int i = 0; i < 5; ++i) {
    put("a", 1);
    put("a", 2);
    broker_.end(SIGKILL);
    broker_.start();
    if (i % 2 == 0) {
      put("a", 3);
      client_.flush();
    } else {
      client_.put("a", counting({1}, 3));
      client_.flush();
    }
    ASSERT_EQ(value_of("a"), 3) << i;
    EXPECT_EQ(client_.stats().tensors, 1u);
  }
}

TEST_F(PutNowait, OfTheParentIsNotTheChilds) {
  put("parent", 1);
  const pid_t child = fork();
  if (child == 0) {
    client_.flush();
    client_.put_nowait("child", counting({1}, 2));
    client_.flush();
    _exit(client_.exists("child") ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  client_.flush();
  EXPECT_EQ(value_of("parent"), 1);
  EXPECT_EQ(value_of("child"), 2);
}

}  // namespace
}  // namespace tensorbroker
