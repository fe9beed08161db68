// The harness itself: what a test may leave behind is seen, each kind of it.

#include "tests/support/leak_check.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

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
