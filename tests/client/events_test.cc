// Events: every publication and deletion in order, or an overflow that says to list again.

#include <csignal>
#include <thread>
#include <vector>

#include "tensorbroker/events.h"
#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using EventsTest = WithBroker;

constexpr seconds kLimit{20};

std::string text(const std::optional<Event>& event) {
  if (!event) return "nothing";
  switch (event->kind) {
    case EventKind::kPublish:
      return "publish " + event->name;
    case EventKind::kDelete:
      return "delete " + event->name;
    case EventKind::kOverflow:
      break;
  }
  return "overflow" + event->name;
}

TEST_F(EventsTest, InTheOrderInWhichTheyHappened) {
  client_.put("before", counting({1}));
  Events events(client_);
  const std::uint64_t first = client_.put("a", counting({1})).version();
  client_.put("b", counting({1}));
  const std::uint64_t second = client_.put("a", counting({2})).version();
  client_.remove("a");
  client_.zeros({3}, kFloat32);  // anonymous: no event
  std::vector<std::string> seen;
  std::vector<std::uint64_t> versions;
  while (const auto event = events.next(milliseconds(0))) {
    seen.push_back(text(event));
    versions.push_back(event->version);
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"publish a", "publish b", "publish a", "delete a"}));
  EXPECT_EQ(versions[0], first);
  EXPECT_EQ(versions[2], second);
  EXPECT_EQ(versions[3], second);
}

TEST_F(EventsTest, OfAPrefixAlone) {
  Events events(client_, "model/");
  client_.put("other", counting({1}));
  const std::string longest = "model/" + std::string(249, 'x');
  client_.put(longest, counting({1}));
  EXPECT_EQ(text(events.next(milliseconds(0))), "publish " + longest);
  EXPECT_EQ(text(events.next(milliseconds(0))), "nothing");
  EXPECT_THROW(Events(client_, std::string(256, 'x')), InvalidArgumentError);
}

TEST_F(EventsTest, WakesWhoSleeps) {
  Events events(client_);
  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(20));
    client_.put("x", counting({1}));
  });
  EXPECT_EQ(text(events.next()), "publish x");
  writer.join();
}

TEST_F(EventsTest, WhoIsTooSlowIsToldOnceAndGoesOn) {
  Events events(client_);
  for (int i = 0; i < 1100; ++i) client_.put("x", counting({1}));
  EXPECT_EQ(text(events.next(milliseconds(0))), "overflow");
  EXPECT_EQ(text(events.next(milliseconds(0))), "nothing");
  client_.remove("x");
  EXPECT_EQ(text(events.next(milliseconds(0))), "delete x");
}

TEST_F(EventsTest, ASuccessorBeginsWithAnOverflow) {
  Events events(client_);
  client_.put("x", counting({1}));
  broker_.end(SIGKILL);
  broker_.start();
  client_.put("y", counting({1}));
  EXPECT_EQ(text(events.next(kLimit)), "publish x");
  EXPECT_EQ(text(events.next(kLimit)), "overflow");
  EXPECT_TRUE(client_.exists("x") && client_.exists("y"));
  client_.put("z", counting({1}));
  std::string next = text(events.next(kLimit));
  if (next == "publish y") next = text(events.next(kLimit));
  EXPECT_EQ(next, "publish z");
}

TEST_F(EventsTest, AnotherInstanceBeginsWithAnOverflow) {
  Events events(client_);
  client_.put("x", counting({1}));
  EXPECT_EQ(text(events.next(milliseconds(0))), "publish x");
  broker_.end(SIGTERM);
  broker_.start();
  client_.put("y", counting({1}));
  EXPECT_EQ(text(events.next(kLimit)), "overflow");
}

TEST_F(EventsTest, ClosingTheClientEndsTheSleep) {
  Client other = broker_.connect();
  Events events(other);
  std::thread closer([&] {
    std::this_thread::sleep_for(milliseconds(20));
    other.close();
  });
  EXPECT_THROW(events.next(), ClosedError);
  closer.join();
}

TEST_F(EventsTest, ManyFollowOneWriter) {
  constexpr int kPublications = 2000;
  std::vector<Events> followed;
  for (int i = 0; i < 4; ++i) followed.emplace_back(client_, "w");
  std::vector<std::thread> readers;
  for (Events& events : followed) {
    readers.emplace_back([&events, last = std::uint64_t{0}]() mutable {
      for (;;) {
        const auto event = events.next(kLimit);
        ASSERT_TRUE(event);
        if (event->kind == EventKind::kDelete) return;
        if (event->kind == EventKind::kOverflow) continue;
        EXPECT_GT(event->version, last);
        last = event->version;
      }
    });
  }
  for (int i = 0; i < kPublications; ++i) client_.put("w", counting({1}));
  for (int i = 0; i < 4; ++i) std::this_thread::sleep_for(milliseconds(5));
  client_.remove("w");
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace tensorbroker
