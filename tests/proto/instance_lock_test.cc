#include "proto/instance_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

class InstanceLockTest : public testing::Test {
 protected:
  ~InstanceLockTest() override { unlink(name_.lock_path().c_str()); }

  std::optional<InstanceLock> acquire() { return InstanceLock::acquire(name_, {getpid(), "/run/mine"}, &holder_); }

  InstanceName name_{geteuid(), "lock-test-" + std::to_string(getpid())};
  LockRecord holder_;
};

TEST_F(InstanceLockTest, NamesItsHolderToTheSecond) {
  const auto first = acquire();
  ASSERT_TRUE(first);
  EXPECT_FALSE(InstanceLock::acquire(name_, {1, "/run/other"}, &holder_));
  EXPECT_EQ(holder_.pid, getpid());
  EXPECT_EQ(holder_.runtime_dir, "/run/mine");
  const auto seen = living_broker(name_);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->runtime_dir, "/run/mine");
}

TEST_F(InstanceLockTest, IsFreeOnceItsHolderIsKilled) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = acquire();
    [[maybe_unused]] const auto n = write(ready[1], "x", 1);
    pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_FALSE(acquire());
  EXPECT_EQ(holder_.pid, child);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(living_broker(name_));
  EXPECT_TRUE(acquire());
  close(ready[0]);
  close(ready[1]);
}

TEST_F(InstanceLockTest, OfAReplacedFileIsNotTheLock) {
  auto old = acquire();
  ASSERT_TRUE(old);
  ASSERT_EQ(unlink(name_.lock_path().c_str()), 0);  // as a cleaner of /dev/shm does
  EXPECT_FALSE(old->still_named());
  const auto fresh = acquire();
  ASSERT_TRUE(fresh);
  old->remove_name();
  EXPECT_EQ(access(name_.lock_path().c_str(), F_OK), 0) << "the name is somebody else's now";
}

TEST_F(InstanceLockTest, ThatIsALinkIsRefused) {
  ASSERT_EQ(symlink("/tmp/elsewhere", name_.lock_path().c_str()), 0);
  EXPECT_THROW(acquire(), Error);
  EXPECT_FALSE(living_broker(name_));
}

}  // namespace
}  // namespace tensorbroker
