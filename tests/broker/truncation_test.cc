// A hostile process of the same user truncates a segment under the broker: the instance ends with a word in the log,
// and whoever comes next begins anew. Clients that guard themselves (tensorbroker/sigbus.h) get errors of the
// library's.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <tensorbroker/sigbus.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/broker_process.h"

namespace tensorbroker {
namespace {

using test::BrokerProcess;
using test::eventually;

std::vector<std::string> segments(const BrokerProcess& broker, const std::string& kind) {
  std::vector<std::string> found;
  for (const std::string& file : broker.at().files()) {
    if (file.find("." + kind + ".") != std::string::npos) found.push_back("/dev/shm/" + file);
  }
  return found;
}

void put_one(Client& client, const std::string& name, float value) {
  client.put(name, from_blob(static_cast<const void*>(&value), {1}, kFloat32));
}

// A client in a process of its own, which publishes until that fails: status 0 where it failed with an error.
pid_t start_publisher(const BrokerProcess& broker, int told) {
  const pid_t child = fork();
  if (child != 0) return child;
  alarm(60);
  install_sigbus_handler();
  try {
    Client client = broker.connect();
    std::vector<Tensor> held;
    for (int i = 0;; ++i) {
      put_one(client, "x" + std::to_string(i % 100), static_cast<float>(i));
      if (i % 3 == 0) held.push_back(client.get("x0"));
      if (i == 300) [[maybe_unused]]
        const auto n = write(told, "y", 1);
    }
  } catch (const Error& e) {
    fprintf(stderr, "publisher: %s\n", e.what());
    _exit(0);
  }
}

// The same, once it has published enough.
pid_t busy_publisher(const BrokerProcess& broker) {
  int told[2];
  if (pipe(told) != 0) throw std::runtime_error("no pipe");
  const pid_t publisher = start_publisher(broker, told[1]);
  close(told[1]);
  char byte = 0;
  EXPECT_EQ(read(told[0], &byte, 1), 1);
  close(told[0]);
  return publisher;
}

class TruncatedUnderTheBroker : public testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(TruncatedUnderTheBroker, EndsTheInstanceAndSaysSo) {
  const auto [kind, bytes] = GetParam();
  BrokerProcess broker;
  const pid_t publisher = busy_publisher(broker);
  for (const std::string& path : segments(broker, kind)) EXPECT_EQ(truncate(path.c_str(), bytes), 0);
  EXPECT_TRUE(eventually([&] { return broker.at().files().empty(); })) << "an orderly end leaves nothing";
  const test::Ended ended = broker.end(SIGTERM);
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_NE((ended.err + broker.at().log()).find("was truncated: the instance ends"), std::string::npos);
  int status = -1;
  waitpid(publisher, &status, 0);
  EXPECT_EQ(status, 0);
  broker.start();
  Client client = broker.connect();
  put_one(client, "x", 7);
  EXPECT_EQ(*client.get("x").const_data_ptr<float>(), 7);
}

INSTANTIATE_TEST_SUITE_P(Each, TruncatedUnderTheBroker,
                         testing::Combine(testing::Values("catalog", "arena"), testing::Values(0, 4096, 16384)));

TEST(Truncation, AnIdleBrokerNotices) {
  for (const char* kind : {"catalog", "arena"}) {
    BrokerProcess broker;
    for (const std::string& path : segments(broker, kind)) EXPECT_EQ(truncate(path.c_str(), 0), 0);
    EXPECT_TRUE(eventually([&] { return broker.at().files().empty(); })) << kind;
    EXPECT_EQ(broker.end(SIGTERM).status, 0);
  }
}

// Its own session alone.
TEST(Truncation, OfASessionEndsThatSession) {
  BrokerProcess broker;
  const pid_t publisher = busy_publisher(broker);
  for (const std::string& path : segments(broker, "session")) EXPECT_EQ(truncate(path.c_str(), 0), 0);
  Client client = broker.connect();
  put_one(client, "mine", 7);
  EXPECT_EQ(*client.get("mine").const_data_ptr<float>(), 7);
  kill(publisher, SIGKILL);
  waitpid(publisher, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return client.stats().sessions == 1; }));
}

}  // namespace
}  // namespace tensorbroker
