// The protocols of leases and publication on the real machine: the product's templates over std::atomic, a thread that
// is the broker and others that read, as fast as they can. What they share without atomics, the blocks, is the test: a
// lease must keep a block from being written to, and ThreadSanitizer (`make tsan`) sees any access that it does not.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <thread>
#include <vector>

#include "broker/name_index.h"
#include "broker/publication.h"
#include "broker/reclaim.h"
#include "proto/lookup.h"

namespace tensorbroker {
namespace {

constexpr std::size_t kEntries = 8;
constexpr std::size_t kCells = 8;
constexpr std::size_t kElements = 16;
constexpr std::array<std::uint64_t, 2> kHashes{0x1111111100000000, 0x2222222200000000};  // the same place

int rounds() {
  const char* said = std::getenv("TENSORBROKER_TEST_ROUNDS");
  return said != nullptr ? static_cast<int>(std::strtol(said, nullptr, 10)) : 20'000;
}

// A catalog in plain memory, and the blocks of its entries.
struct Shared {
  CatalogRoot root{};
  std::array<Entry, kEntries> entries{};
  std::array<std::array<Word, kCells>, 2> index{};
  SessionRecord record{};
  std::array<std::array<std::uint64_t, kElements>, kEntries> blocks{};  // no atomics
  BasicCatalogView<Word> view{&root, entries.data(), {index[0].data(), index[1].data()}, kCells};
  std::atomic<bool> done{false};
};

// A reader with a lease table of one cell.
struct Reader {
  SessionControl control{};
  Word lease{0};
  std::atomic<std::uint64_t> held{0};

  void run(Shared& shared, std::uint64_t hash) {
    const auto ring = [this] { control.ring.exchange(1, std::memory_order_seq_cst); };
    std::uint64_t newest = 0;
    while (!shared.done.load()) {
      EntryId id = kNoEntry;
      const auto matches = [&](EntryId e) {
        return shared.entries[e].name_hash.load(std::memory_order_relaxed) == hash;
      };
      const LookupStatus status = lookup(shared.view, hash, lease, matches, ring, &id);
      if (status != LookupStatus::kHeld) {
        ASSERT_NE(status, LookupStatus::kCorrupt);
        continue;
      }
      const std::uint64_t version = version_of(shared.entries[id].generation.load(std::memory_order_relaxed));
      for (const std::uint64_t element : shared.blocks[id]) ASSERT_EQ(element, version) << "a held block changed";
      ASSERT_GE(version, newest) << "an old version came back";
      newest = version;
      release_lease(lease, shared.entries[id], ring);
      held.fetch_add(1, std::memory_order_relaxed);
    }
  }
};

// The one writer, as the store does it: fill, publish or delete, reclaim, use again what nobody holds.
class Broker {
 public:
  Broker(Shared& shared, std::vector<Reader>& readers) : shared_(shared), names_(shared.view) {
    shared_.root.index.store(IndexRoot{.epoch = 1, .region = 0, .log2_cells = 3}.pack());
    shared_.root.entries_committed.store(kEntries);
    shared_.record.id.store(1);
    for (EntryId id = 0; id < kEntries; ++id) free_.push_back(id);
    for (Reader& reader : readers) {
      reader.control.lease_high_water.store(1);
      tables_.push_back({.control = &reader.control, .leases = &reader.lease, .committed = 1});
    }
  }

  void step(std::uint64_t n) {
    const std::uint64_t hash = kHashes[n % kHashes.size()];
    if (n % 7 == 3) {
      unlink(hash);
    } else {
      put(hash);
    }
    if (n % 31 == 5) names_.rebuild([](unsigned, std::uint64_t) {});
    reclaim();
  }
  std::uint64_t reused() const { return reused_; }
  // Nobody holds anything: a pass frees all that is retired.
  bool all_free() {
    reclaim();
    return retired_.empty();
  }

 private:
  auto place_of(std::uint64_t hash) {
    return names_.find(hash, [&](EntryId e) { return shared_.entries[e].name_hash.load() == hash; });
  }

  void put(std::uint64_t hash) {
    if (free_.empty()) return;
    const EntryId id = free_.front();
    auto place = place_of(hash);
    if (place.entry == kNoEntry && names_.load(place.cell) == kEmptyCell && !names_.has_room()) {
      names_.rebuild([](unsigned, std::uint64_t) {});
      place = place_of(hash);
    }
    free_.erase(free_.begin());
    const std::uint64_t version = next_++;
    shared_.blocks[id].fill(version);
    broker::fill_spare(shared_.entries[id], {.name_hash = hash, .header = {}, .state = {.is_named = true}});
    broker::Mutation m{.kind = IntentKind::kPublish,
                       .cell = place.cell,
                       .cell_value = make_cell(hash, id),
                       .entry = id,
                       .generation = live(version << 1),
                       .replaced = place.entry};
    commit(m);
    ++reused_;
  }

  void unlink(std::uint64_t hash) {
    const auto place = place_of(hash);
    if (place.entry == kNoEntry) return;
    commit({.kind = IntentKind::kDelete, .cell = place.cell, .cell_value = kTombstone, .replaced = place.entry});
  }

  void commit(broker::Mutation m) {
    m.session = 1;
    m.sequence = ++sequence_;
    const std::uint64_t before = names_.load(m.cell);
    if (m.replaced != kNoEntry) m.replaced_generation = shared_.entries[m.replaced].generation.load();
    broker::commit(shared_.view, shared_.record, m);
    names_.changed(before, m.cell_value);
    if (m.replaced != kNoEntry) retired_.push_back(m.replaced);
  }

  void reclaim() {
    const std::vector<bool> leased = broker::leased_entries(tables_, kEntries);
    std::erase_if(retired_, [&](EntryId id) {
      if (leased[id]) return false;
      free_.push_back(id);
      return true;
    });
  }

  Shared& shared_;
  broker::NameIndex names_;
  std::vector<broker::LeaseTable> tables_;
  std::vector<EntryId> free_;
  std::vector<EntryId> retired_;
  std::uint64_t next_ = 1;
  std::uint64_t sequence_ = 0;
  std::uint64_t reused_ = 0;
};

TEST(Threads, ReadersAgainstTheBroker) {
  const auto shared = std::make_unique<Shared>();
  std::vector<Reader> readers(3);
  Broker broker(*shared, readers);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < readers.size(); ++i) {
    threads.emplace_back([&, i] { readers[i].run(*shared, kHashes[i % kHashes.size()]); });
  }
  constexpr std::uint64_t kTimes = 100;
  const auto have_read = [&] {
    return std::all_of(readers.begin(), readers.end(), [](const Reader& reader) { return reader.held >= kTimes; });
  };
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto least = static_cast<std::uint64_t>(rounds());
  for (std::uint64_t n = 0; n < least || (!have_read() && std::chrono::steady_clock::now() < limit); ++n)
    broker.step(n);
  shared->done.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(broker.all_free());
  EXPECT_GT(broker.reused(), kEntries) << "no entry was used again";
  EXPECT_TRUE(have_read());
  std::cout << "[ read     ]";
  for (const Reader& reader : readers) std::cout << ' ' << reader.held;
  std::cout << " times, " << broker.reused() << " publications\n";
}

}  // namespace
}  // namespace tensorbroker
