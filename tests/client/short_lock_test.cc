#include "client/short_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace tensorbroker {
namespace {

TEST(ShortLock, LetsOneThreadInAtATime) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 50'000;
  ShortLock lock;
  int count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        const std::lock_guard held(lock);
        count = count + 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kRounds);
}

TEST(ShortLock, WhoWaitsForLongSleepsAndGetsIn) {
  ShortLock lock;
  std::atomic<bool> is_in{false};
  lock.lock();
  std::thread waiting([&] {
    const std::lock_guard held(lock);
    is_in = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(is_in);
  lock.unlock();
  waiting.join();
  EXPECT_TRUE(is_in);
}

}  // namespace
}  // namespace tensorbroker
