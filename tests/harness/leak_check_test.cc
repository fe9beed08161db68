// The harness itself: what a test may leave behind is seen, each kind of it.

#include "tests/support/leak_check.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "client/client_impl.h"
#include "tests/support/broker_process.h"

namespace tensorbroker::test {
namespace {

constexpr double kAtOnce = 0.01;

TEST(LeakCheck, IsContentWhereNothingWasLeft) { EXPECT_EQ(leaks_since(take_snapshot(), kAtOnce), ""); }

TEST(LeakCheck, SeesADescriptor) {
  const Snapshot before = take_snapshot();
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_NE(leaks_since(before, kAtOnce).find("/dev/null"), std::string::npos);
  close(fd);
}

TEST(LeakCheck, SeesAChildProcess) {
  const Snapshot before = take_snapshot();
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  EXPECT_NE(leaks_since(before, kAtOnce).find("child process " + std::to_string(child)), std::string::npos);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST(LeakCheck, SeesASegment) {
  const Snapshot before = take_snapshot();
  const std::string path = "/dev/shm/tensorbroker.0.test-" + std::to_string(getpid()) + ".arena.1";
  std::ofstream(path) << "x";
  EXPECT_NE(leaks_since(before, kAtOnce).find("arena.1"), std::string::npos);
  unlink(path.c_str());
}

TEST(LeakCheck, SeesAMappingOfASegment) {
  const BrokerProcess broker;
  const Snapshot before = take_snapshot();
  std::string path;
  for (const std::string& file : broker.at().files()) {
    if (file.find(".catalog.") != std::string::npos) path = "/dev/shm/" + file;
  }
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  void* mapped = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(leaks_since(before, kAtOnce), "mapping r--s " + path + ", 4096 bytes\n");
  munmap(mapped, 4096);
  EXPECT_EQ(leaks_since(before, kAtOnce), "");
}

TEST(LeakCheck, SeesALease) {
  const BrokerProcess broker;
  Client client = broker.connect();
  Tensor kept = client.zeros({4});
  EXPECT_EQ(what_is_held(client, kAtOnce), "1 leases\n");
  kept = Tensor();
  EXPECT_EQ(what_is_held(client), "");
}

TEST(LeakCheck, SeesAPin) {
  const BrokerProcess broker;
  Client client = broker.connect();
  float value = 0;
  client.put("w", from_blob(&value, {1}, kFloat32));
  {
    const Client::Impl::Use connection(*client.impl());
    const Limit limit = Limit::in(std::chrono::seconds(20));
    Calls& calls = connection->current().calls();
    const PinnedEntry pinned = calls.pin("w", kNoEntry, 0, 0, limit);
    EXPECT_EQ(what_is_held(client, kAtOnce), "1 pins\n");
    calls.unpin(pinned);
  }
  EXPECT_EQ(what_is_held(client), "");
}

TEST(LeakCheck, SeesAnAttachmentThatATensorKeeps) {
  const BrokerProcess broker;
  const Snapshot before = take_snapshot();
  Client client = broker.connect();
  Tensor kept = client.zeros({4});
  client.close();
  EXPECT_NE(leaks_since(before, kAtOnce).find("1 attachments"), std::string::npos);
  kept = Tensor();
  EXPECT_EQ(leaks_since(before), "");
}

}  // namespace
}  // namespace tensorbroker::test
