// The thread that reserves and punches pages: what was handed out first is done first where it is about the same pages.

#include "broker/page_worker.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/broker/store_fixture.h"

namespace tensorbroker::broker {
namespace {

class PageWorkerTest : public StoreTest {
 protected:
  // Of the arena's file, in memory.
  std::uint64_t allocated() const {
    struct stat status{};
    EXPECT_EQ(stat(("/dev/shm/" + store->arena().name()).c_str(), &status), 0);
    return static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
};

// What a session's taken extent loses is queued to be punched; the session gives the extent back, and the next grant
// takes the same pages while the worker is busy. Its tensors must not lose them again.
TEST_F(PageWorkerTest, ThePagesOfAGrantAreNotPunchedAfterIt) {
  create(128 * kMiB);
  const std::uint64_t before = allocated();
  const Range busy{16 * kMiB, 32 * kMiB};
  const Range pages{64 * kMiB, kMiB};
  for (int round = 0; round < 20; ++round) {
    EventLoop loop;
    PageWorker worker(loop, store->arena());
    int left = 3;
    const auto done = [&] {
      if (--left == 0) loop.stop();
    };
    worker.reserve({}, {busy}, [&](int) { done(); });
    worker.punch({pages}, done);
    worker.reserve({}, {pages}, [&](int error) {
      EXPECT_EQ(error, 0);
      done();
    });
    loop.run();
    EXPECT_EQ(allocated(), before + busy.bytes + pages.bytes) << "in round " << round;
    store->arena().punch(busy);
    store->arena().punch(pages);
  }
}

}  // namespace
}  // namespace tensorbroker::broker
