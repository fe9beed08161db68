#include "proto/event_ring.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace tensorbroker {
namespace {

constexpr std::uint64_t kLimit = 8;

struct Ring {
  std::unique_ptr<EventRecord[]> records = std::make_unique<EventRecord[]>(kLimit);
  Word count{0};
  EventRing ring{records.get(), kLimit, &count};
};

TEST(EventRing, KeepsTheLastOnes) {
  Ring r;
  for (std::uint64_t i = 1; i <= 20; ++i) append_event(r.ring, EventType::kPublish, i, "name " + std::to_string(i));
  EXPECT_EQ(r.count.load(), 20u);
  for (std::uint64_t i = 1; i <= 12; ++i) EXPECT_FALSE(read_event(r.ring, i));
  for (std::uint64_t i = 13; i <= 20; ++i) {
    const auto event = read_event(r.ring, i);
    ASSERT_TRUE(event);
    EXPECT_EQ(event->version, i);
    EXPECT_EQ(event->name, "name " + std::to_string(i));
  }
}

TEST(EventRing, HoldsNamesOfEveryLength) {
  Ring r;
  std::uint64_t number = 0;
  for (const std::size_t size : {1u, 7u, 8u, 9u, 254u, 255u, 2u}) {
    append_event(r.ring, EventType::kDelete, 5, std::string(size, 'n'));
    EXPECT_EQ(read_event(r.ring, ++number)->name, std::string(size, 'n'));
  }
}

TEST(EventRing, ASkipIsAGapBehindWhatWasWritten) {
  Ring r;
  for (int i = 0; i < 5; ++i) append_event(r.ring, EventType::kPublish, 1, "x");
  skip_events(r.ring);
  for (std::uint64_t i = 1; i <= r.count.load(); ++i) EXPECT_EQ(read_event(r.ring, i).has_value(), i <= 5) << i;
  append_event(r.ring, EventType::kPublish, 2, "y");
  EXPECT_EQ(read_event(r.ring, r.count.load())->name, "y");
}

// What is read is whole, whatever the writer does meanwhile. (Under ThreadSanitizer, too: all words are atomic.)
TEST(EventRing, NobodyReadsATornEvent) {
  Ring r;
  constexpr std::uint64_t kEvents = 200'000;
  std::thread writer([&] {
    for (std::uint64_t i = 1; i <= kEvents; ++i) {
      append_event(r.ring, i % 2 == 0 ? EventType::kPublish : EventType::kDelete, i,
                   std::string(1 + i % 255, static_cast<char>('a' + i % 26)));
    }
  });
  const auto follow = [&] {
    for (std::uint64_t last = 0; last < kEvents;) {
      last = r.count.load(std::memory_order_acquire);
      for (std::uint64_t i = last > kLimit ? last - kLimit : 1; i <= last; ++i) {
        const auto event = read_event(r.ring, i);
        if (!event) continue;
        ASSERT_EQ(event->version, i);
        ASSERT_EQ(event->type, i % 2 == 0 ? EventType::kPublish : EventType::kDelete);
        ASSERT_EQ(event->name, std::string(1 + i % 255, static_cast<char>('a' + i % 26)));
      }
    }
  };
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) readers.emplace_back(follow);
  for (std::thread& reader : readers) reader.join();
  writer.join();
}

}  // namespace
}  // namespace tensorbroker
