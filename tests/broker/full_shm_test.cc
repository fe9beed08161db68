// A /dev/shm that is full: every call that needs memory ends in an error that says so, none in a SIGBUS, and what was
// there stays. In a process of its own, with a small file system mounted over /dev/shm for it alone.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>

#include "store_fixture.h"

namespace tensorbroker::broker {
namespace {

constexpr int kNoNamespace = 77;

bool mount_small_shm(const std::string& size) {
  return unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", "/dev/shm", "tmpfs", 0, ("size=" + size).c_str()) == 0;
}

class FullShmTest : public StoreTest {
 protected:
  // Runs `body` under a /dev/shm of that size; it returns what it found wrong, or nothing.
  void with_shm_of(const std::string& size, const std::function<std::string()>& body) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      if (!mount_small_shm(size)) _exit(kNoNamespace);
      std::string wrong;
      try {
        wrong = body();
      } catch (const std::exception& e) {
        wrong = std::string("threw ") + e.what();
      }
      const bool written = write(pipe_ends[1], wrong.data(), wrong.size()) == static_cast<ssize_t>(wrong.size());
      _exit(wrong.empty() && written ? 0 : 1);
    }
    close(pipe_ends[1]);
    char text[4096];
    const ssize_t n = read(pipe_ends[0], text, sizeof text);
    close(pipe_ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "may not mount a file system";
    ASSERT_FALSE(WIFSIGNALED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0) << std::string(text, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  }
};

TEST_F(FullShmTest, CreationLeavesNothing) {
  for (const char* size : {"4k", "8k", "64k", "128k"}) {
    with_shm_of(size, [this]() -> std::string {
      try {
        create(1024 * kMiB);
        return "created a store";
      } catch (const OutOfMemoryError& e) {
        if (std::string(e.what()).find("--shm-size") == std::string::npos) return e.what();
      }
      return segments().empty() ? "" : "left " + segments().front();
    });
  }
}

TEST_F(FullShmTest, SessionsNamesAndGrantsFailAndTheRestGoesOn) {
  with_shm_of("4m", [this]() -> std::string {
    create(1024 * kMiB);
    const std::uint64_t session = connect();
    const Granted extent = grant(session, kMiB);
    publish(session, "constant", extent.range.offset, 64, 9);
    bool grant_failed = false;
    const Reservation reservation = store->begin_grant(session, kMiB);
    const int descriptor = open("/dev/shm/filler", O_CREAT | O_RDWR, 0600);
    for (off_t at = 0; posix_fallocate(descriptor, at, kPageSize) == 0; at += kPageSize) {
    }
    close(descriptor);
    if (const int error = store->arena().prepare(reservation.punch, reservation.reserve); error != 0) {
      grant_failed = std::string(store->abort_grant(reservation, error).what()).find("--shm-size") != std::string::npos;
    }
    if (!grant_failed) return "the grant did not fail with a hint";
    const Statistics before = store->statistics();
    try {
      connect();
      return "a session was made without room";
    } catch (const OutOfMemoryError&) {
    }
    if (store->sessions().size() != 1) return "the failed session stayed";
    if (segments().size() != 3) return "the failed session left its segment";
    int published = 0;
    try {
      for (; published < 100000; ++published) publish(session, "n" + std::to_string(published), 0, 0);
      return "the heap never filled";
    } catch (const OutOfMemoryError&) {
    }
    const Statistics after = store->statistics();
    if (after.used != before.used || after.tensors != before.tensors + static_cast<std::uint64_t>(published)) {
      return "the failed publication was counted";
    }
    if (!holds(get(session, "constant", 0), 64, 9)) return "the constant changed";
    if (get(session, "n" + std::to_string(published), 1) != kNoEntry) return "the failed name is there";
    if (published > 0 && get(session, "n" + std::to_string(published - 1), 1) == kNoEntry) return "a name is lost";
    kill_broker();
    if (!adopt()) return "it could not be adopted";
    if (!holds(get(session, "constant", 0), 64, 9)) return "the constant changed in the adoption";
    unlink("/dev/shm/filler");
    grant(session, kMiB);
    connect();
    publish(session, "more", 0, 0);
    return "";
  });
}

}  // namespace
}  // namespace tensorbroker::broker
