// A command ring on the real machine: a writer and a reader on two cores, the reader asleep as often as it finds
// nothing. ThreadSanitizer (`make tsan`) sees any access that the ring's positions do not order.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <semaphore>
#include <thread>
#include <vector>

#include "tests/support/local_rings.h"

namespace tensorbroker {
namespace {

std::uint64_t rounds() {
  const char* said = std::getenv("TENSORBROKER_TEST_ROUNDS");
  return said != nullptr ? std::strtoull(said, nullptr, 10) : 100'000;
}

// Reads until the last, and returns how often it slept.
std::uint64_t read_all(RingReader& reader, std::counting_semaphore<>& doorbell, std::uint64_t last) {
  std::uint64_t slept = 0;
  std::vector<std::byte> frame;
  for (std::uint64_t next = 1; next <= last;) {
    const auto read = reader.read(&frame);
    if (read == RingReader::Read::kFrame) {
      std::uint64_t content = 0;
      std::memcpy(&content, frame.data(), sizeof content);
      if (content != next || frame.size() != sizeof content + next % 50) ADD_FAILURE() << content << " for " << next;
      ++next;
    } else if (reader.fall_asleep()) {
      ++slept;
      if (!doorbell.try_acquire_for(std::chrono::seconds(20))) {
        ADD_FAILURE() << "nobody woke the reader for frame " << next;
        return slept;
      }
      reader.wake_up();
    }
  }
  return slept;
}

TEST(RingThreads, ASleepingReaderIsWokenForEveryFrame) {
  test::LocalRings memory;
  const CommandRing ring = memory.rings().requests;
  const std::uint64_t last = rounds();
  std::counting_semaphore<> doorbell(0);
  std::uint64_t slept = 0;
  std::thread thread([&] {
    RingReader reader(ring);
    slept = read_all(reader, doorbell, last);
  });
  RingWriter writer(ring);
  for (std::uint64_t n = 1; n <= last; ++n) {
    std::vector<std::byte> frame(sizeof n + n % 50);
    std::memcpy(frame.data(), &n, sizeof n);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    auto written = RingWriter::Written::kNoRoom;
    while ((written = writer.write(frame)) == RingWriter::Written::kNoRoom) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit);
      std::this_thread::yield();
    }
    if (written == RingWriter::Written::kUnseen) doorbell.release();
    for (std::uint64_t pause = n * 7919 % 300; pause > 0; --pause) std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  thread.join();
  EXPECT_GT(slept, 0u) << "it never slept, so nothing was tried";
}

}  // namespace
}  // namespace tensorbroker
