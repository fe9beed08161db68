// Waiting for versions: threads, other processes, restarts of the broker.

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "proto/segment_name.h"
#include "proto/session.h"
#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

using std::chrono::milliseconds;
using Wait = WithBroker;

TEST_F(Wait, LooksOnceWithATimeoutOfZero) {
  EXPECT_FALSE(client_.wait("w", 0, milliseconds(0)));
  const Tensor put = client_.put("w", counting({1}));
  EXPECT_EQ(client_.wait("w", 0, milliseconds(0))->version(), put.version());
  EXPECT_FALSE(client_.wait("w", put.version(), milliseconds(0)));
}

TEST_F(Wait, ANameThatIsNotThereYetIsWaitedFor) {
  std::thread writer([&] { client_.put("late", counting({1}, 5)); });
  const auto got = client_.wait("late", 0);
  writer.join();
  EXPECT_EQ(values(*got), std::vector<float>{5});
}

TEST_F(Wait, NeitherRepeatsNorGoesBackNorMissesTheLast) {
  constexpr int kVersions = 200;
  std::thread writer([&] {
    for (int i = 1; i <= kVersions; ++i) client_.put("w", counting({1}, static_cast<float>(i)));
  });
  float last = 0;
  std::uint64_t version = 0;
  while (last < kVersions) {
    const auto next = client_.wait("w", version, std::chrono::seconds(20));
    ASSERT_TRUE(next);
    EXPECT_GT(next->version(), version);
    EXPECT_GT(values(*next)[0], last);
    last = values(*next)[0];
    version = next->version();
  }
  writer.join();
}

TEST_F(Wait, ADeletionEndsNobodysWaiting) {
  const std::uint64_t version = client_.put("w", counting({1})).version();
  std::thread writer([&] {
    client_.remove("w");
    client_.put("other", counting({1}));
    client_.put("w", counting({1}, 9));
  });
  EXPECT_EQ(values(*client_.wait("w", version)), std::vector<float>{9});
  writer.join();
}

TEST_F(Wait, AnotherProcessWakesIt) {
  const pid_t child = fork();
  if (child == 0) {
    client_.put("from-child", counting({1}, 3));
    _exit(0);
  }
  EXPECT_EQ(values(*client_.wait("from-child", 0)), std::vector<float>{3});
  waitpid(child, nullptr, 0);
}

TEST_F(Wait, ClosingTheClientEndsIt) {
  std::string message;
  std::thread waiter([&] { message = refusal<ClosedError>([&] { client_.wait("never", 0); }); });
  EXPECT_TRUE(test::eventually([&] { return client_.stats().sessions == 1; }));
  client_.close();
  waiter.join();
  EXPECT_NE(message.find("closed"), std::string::npos);
}

TEST_F(Wait, TheInterruptCheckMayEndIt) {
  struct Interrupted {};
  EXPECT_THROW(client_.wait_object("never", 0, std::nullopt, [] { throw Interrupted(); }), Interrupted);
}

TEST_F(Wait, OutlivesAKilledBroker) {
  std::optional<Tensor> got;
  std::thread waiter([&] { got = client_.wait("w", 0); });
  broker_.end(SIGKILL);
  broker_.start();
  client_.put("w", counting({1}, 4));
  waiter.join();
  EXPECT_EQ(values(*got), std::vector<float>{4});
}

TEST_F(Wait, GoesOnInALaterInstanceWhoseVersionsAreHigher) {
  const std::uint64_t version = client_.put("w", counting({1})).version();
  std::optional<Tensor> got;
  broker_.end(SIGTERM);
  broker_.start();
  client_.put("w", counting({1}, 6));
  got = client_.wait("w", version);
  ASSERT_TRUE(got);
  EXPECT_GT(got->version(), version);
}

// Threads of all processes that wait, by what the sessions' segments say.
std::uint64_t waiters_of(const InstanceName& name) {
  std::uint64_t count = 0;
  for (const auto& file : std::filesystem::directory_iterator("/dev/shm")) {
    const auto segment = parse_segment_name(name, file.path().filename().string());
    if (!segment || segment->kind != SegmentKind::kSession) continue;
    try {
      count += SessionSegment::open(name, segment->id).control().waiters.load();
    } catch (const Error&) {
      continue;  // it is being made, or goes
    }
  }
  return count;
}

TEST(WaitWithAutostart, AnotherProcessThatIsBlockedIsWokenByAPutThroughTheSuccessor) {
  test::BrokerProcess broker;
  ConnectOptions options = broker.connect_options();
  options.autostart = true;
  const pid_t waiter = fork();
  if (waiter == 0) {
    const auto got = Client::connect(options).wait("w", 0, std::chrono::seconds(60));
    _exit(got && *got->const_data_ptr<float>() == 7 ? 0 : 1);
  }
  EXPECT_TRUE(test::eventually([&] { return waiters_of(broker.at().name()) == 1; }));
  broker.end(SIGKILL);
  {
    Client client = Client::connect(options);
    const float value = 7;
    client.put("w", from_blob(&value, {1}, kFloat32));
  }
  int status = -1;
  EXPECT_EQ(waitpid(waiter, &status, 0), waiter);
  EXPECT_EQ(status, 0);
}

TEST(WaitWithAutostart, ManyShortOnesFindADeadBrokerAndStartItsSuccessor) {
  test::BrokerProcess broker;
  ConnectOptions options = broker.connect_options();
  options.autostart = true;
  const Client client = Client::connect(options);
  broker.end(SIGKILL);
  const std::string before = broker.at().log();
  EXPECT_TRUE(test::eventually([&] {
    EXPECT_FALSE(client.wait("w", 0, milliseconds(20)));
    return broker.at().log() != before;
  })) << "nobody started a successor";
}

}  // namespace
}  // namespace tensorbroker
