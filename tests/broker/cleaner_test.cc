// A cleaner was at the runtime directory or at /dev/shm while the broker lives: what it removed is put back, or the
// instance ends in good order.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "proto/instance_lock.h"
#include "proto/runtime_dir.h"
#include "tests/support/broker_process.h"

namespace tensorbroker {
namespace {

namespace fs = std::filesystem;
using test::BrokerProcess;
using test::eventually;
using test::run_daemon;

void put_one(Client& client, const std::string& name, float value) {
  client.put(name, from_blob(static_cast<const void*>(&value), {1}, kFloat32));
}

float value_of(const Client& client, const std::string& name) { return *client.get(name).const_data_ptr<float>(); }

// Another process, whose connection cannot be this one's: true where it finds the value.
bool a_newcomer_reads(const BrokerProcess& broker, const std::string& name, float value) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      _exit(value_of(broker.connect(), name) == value ? 0 : 1);
    } catch (const Error&) {
      _exit(2);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string lock_path(const BrokerProcess& broker) { return broker.at().name().lock_path(); }

std::string segment_path(const BrokerProcess& broker, const std::string& kind) {
  for (const std::string& file : broker.at().files()) {
    if (file.find("." + kind + ".") != std::string::npos) return "/dev/shm/" + file;
  }
  return {};
}

std::vector<std::string> same_instance(const BrokerProcess& broker) {
  return {"--instance", broker.at().name().instance, "--runtime-dir", broker.at().runtime_dir()};
}

TEST(Cleaner, ASocketThatWasRemovedIsBoundAnew) {
  const BrokerProcess broker;
  {
    Client client = broker.connect();
    put_one(client, "x", 5);
  }
  const std::string socket = socket_path(broker.at().runtime_dir(), broker.at().name().instance);
  ASSERT_TRUE(fs::remove(socket));
  EXPECT_TRUE(eventually([&] { return fs::exists(socket); }));
  EXPECT_TRUE(a_newcomer_reads(broker, "x", 5));
}

TEST(Cleaner, ARuntimeDirectoryThatWasRemovedIsMadeAnew) {
  const BrokerProcess broker;
  Client client = broker.connect();
  put_one(client, "x", 5);
  for (int i = 0; i < 3; ++i) {
    std::error_code made_anew_meanwhile;
    fs::remove_all(broker.at().runtime_dir(), made_anew_meanwhile);
    EXPECT_TRUE(eventually([&] { return a_newcomer_reads(broker, "x", 5); }));
  }
  put_one(client, "x", 6);
  EXPECT_EQ(value_of(client, "x"), 6) << "those who are connected notice nothing";
}

TEST(Cleaner, ALockThatWasRemovedIsTakenAnew) {
  const BrokerProcess broker;
  Client client = broker.connect();
  put_one(client, "x", 5);
  ASSERT_TRUE(fs::remove(lock_path(broker)));
  EXPECT_TRUE(eventually([&] {
    const auto holder = living_broker(broker.at().name());
    return holder && holder->pid == broker.pid();
  }));
  EXPECT_GT(run_daemon(same_instance(broker)).status, 0);
  EXPECT_TRUE(a_newcomer_reads(broker, "x", 5));
}

// The lock is the only thing that a stopped broker cannot take anew in time.
TEST(Cleaner, AStoppedBrokerWithoutALockIsNotAdopted) {
  const BrokerProcess broker;
  Client client = broker.connect();
  put_one(client, "x", 5);
  kill(broker.pid(), SIGSTOP);
  fs::remove(lock_path(broker));
  const test::Ended successor = run_daemon(same_instance(broker));
  kill(broker.pid(), SIGCONT);
  EXPECT_GT(successor.status, 0);
  EXPECT_NE(successor.err.find("a living broker serves"), std::string::npos) << successor.err;
  EXPECT_EQ(value_of(client, "x"), 5);
  put_one(client, "y", 6);
  EXPECT_TRUE(a_newcomer_reads(broker, "y", 6));
}

class CleanedSegments : public testing::TestWithParam<const char*> {};

TEST_P(CleanedSegments, EndTheInstanceAndItsReadersKeepWhatTheyHold) {
  BrokerProcess broker;
  Client client = broker.connect();
  put_one(client, "x", 5);
  const Tensor held = client.get("x");
  ASSERT_TRUE(fs::remove(segment_path(broker, GetParam())));
  EXPECT_TRUE(eventually([&] { return broker.at().files().empty(); })) << "an orderly end leaves nothing";
  broker.end(SIGTERM);
  EXPECT_EQ(*held.const_data_ptr<float>(), 5);
  broker.start();
  EXPECT_FALSE(client.exists("x"));
  put_one(client, "x", 7);
  EXPECT_EQ(value_of(client, "x"), 7);
  EXPECT_EQ(*held.const_data_ptr<float>(), 5);
}

INSTANTIATE_TEST_SUITE_P(Each, CleanedSegments, testing::Values("catalog", "arena", "session"));

// Its client may live, write to its extents and read under its leases: none of them may be anybody else's.
TEST(Cleaner, ASuccessorAdoptsNoInstanceThatLacksASession) {
  BrokerProcess broker;
  Client client = broker.connect();
  put_one(client, "x", 5);
  const Tensor held = client.get("x");
  broker.end(SIGKILL);
  for (const std::string& file : broker.at().files()) {
    if (file.find(".session.") != std::string::npos) fs::remove("/dev/shm/" + file);
  }
  broker.start();
  EXPECT_FALSE(client.exists("x"));
  put_one(client, "x", 7);
  EXPECT_EQ(value_of(client, "x"), 7);
  EXPECT_EQ(*held.const_data_ptr<float>(), 5);
}

TEST(Cleaner, AnEmptiedDevShmIsANewBeginning) {
  BrokerProcess broker;
  Client client = broker.connect();
  put_one(client, "x", 5);
  const Tensor held = client.get("x");
  for (const std::string& file : broker.at().files()) fs::remove("/dev/shm/" + file);
  broker.end(SIGTERM);
  broker.start();
  put_one(client, "x", 7);
  EXPECT_EQ(value_of(client, "x"), 7);
  EXPECT_EQ(*held.const_data_ptr<float>(), 5);
}

}  // namespace
}  // namespace tensorbroker
