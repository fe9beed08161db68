// Copies at the sizes where another way of copying begins, between any two addresses; and what in_pieces() promises.

#include "client/bulk_copy.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "client/in_pieces.h"

namespace tensorbroker {
namespace {

constexpr std::size_t kMargin = 64;

// Copies between places that far from an alignment of 64, and looks at every byte, those around the target included.
void expect_copied(std::size_t bytes, std::size_t together, std::size_t to_shift, std::size_t from_shift) {
  std::vector<std::byte> from(bytes + 2 * kMargin);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 31 + i / 251);
  std::vector<std::byte> to(bytes + 2 * kMargin, std::byte{0xee});
  bulk_copy(to.data() + to_shift, from.data() + from_shift, bytes, together);
  const auto begin = to.begin() + static_cast<std::ptrdiff_t>(to_shift);
  const auto end = begin + static_cast<std::ptrdiff_t>(bytes);
  EXPECT_TRUE(std::equal(begin, end, from.begin() + static_cast<std::ptrdiff_t>(from_shift))) << bytes;
  const auto untouched = [](std::byte b) { return b == std::byte{0xee}; };
  EXPECT_TRUE(std::all_of(to.begin(), begin, untouched) && std::all_of(end, to.end(), untouched)) << bytes;
}

TEST(BulkCopy, CopiesEveryByteAtAnySize) {
  for (const std::size_t edge : {std::size_t{0}, kLeastStreamedRun, kStreamedCopyBytes, kParallelCopyBytes}) {
    for (const int beside : {-129, -1, 0, 1, 127}) {
      if (edge == 0 && beside < 0) continue;
      expect_copied(edge + static_cast<std::size_t>(beside), 0, 3, 17);
    }
  }
}

TEST(BulkCopy, CopiesBetweenAnyTwoAddresses) {
  for (const std::size_t shift : {std::size_t{0}, std::size_t{1}, std::size_t{31}, std::size_t{32}, std::size_t{63}}) {
    expect_copied(kLeastStreamedRun + 5, kStreamedCopyBytes, shift, 0);
    expect_copied(kLeastStreamedRun + 5, kStreamedCopyBytes, 0, shift);
    expect_copied(kParallelCopyBytes + 5, 0, shift, 1);
  }
}

TEST(BulkCopy, OfWhatIsCopiedTogetherAShortRunToo) {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{100}, kLeastStreamedRun - 1, kLeastStreamedRun}) {
    expect_copied(bytes, std::size_t{1} << 40, 7, 0);
  }
}

TEST(InPieces, EachIsDoneOnce) {
  for (const std::size_t count : {0, 1, 2, 5, 1000}) {
    std::vector<std::atomic<int>> done(count);
    in_pieces(count, [&](std::size_t piece) { ++done.at(piece); });
    EXPECT_TRUE(std::all_of(done.begin(), done.end(), [](const auto& times) { return times == 1; })) << count;
  }
}

// The threads that call, for pieces that end only once others have begun, or a moment has passed.
std::size_t threads_at_work() {
  std::mutex mutex;
  std::set<std::thread::id> seen;
  in_pieces(8, [&](std::size_t) {
    {
      const std::lock_guard held(mutex);
      seen.insert(std::this_thread::get_id());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  return seen.size();
}

TEST(InPieces, HasAThreadForEachProcessorThatItMayRunOn) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  const auto processors = static_cast<std::size_t>(CPU_COUNT(&before));
  EXPECT_EQ(threads_at_work(), std::min(processors, kMostAtWork));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(threads_at_work(), 1u);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

// Those of the process go to the user's threads; of what a thread itself does, its handler hears.
TEST(InPieces, ThreadsTakeNoSignalsButTheirOwn) {
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> blocked{0};
  std::atomic<int> others{0};
  in_pieces(8, [&](std::size_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    for (const int own : {SIGBUS, SIGSEGV, SIGFPE, SIGILL}) blocked += sigismember(&mask, own);
    if (std::this_thread::get_id() != caller) others += sigismember(&mask, SIGINT) == 1 ? 0 : 1;
  });
  EXPECT_EQ(blocked, 0);
  EXPECT_EQ(others, 0);
}

}  // namespace
}  // namespace tensorbroker
