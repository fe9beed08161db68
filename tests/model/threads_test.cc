// The protocols of leases and publication on the real machine: the product's templates over std::atomic, a thread that
// is the broker and others that read, as fast as they can. What they share without atomics, the blocks, is the test: a
// lease must keep a block from being written to, and ThreadSanitizer (`make tsan`) sees any access that it does not.

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "broker/name_index.h"
#include "broker/publication.h"
#include "broker/reclaim.h"
#include "proto/glance.h"
#include "proto/lookup.h"

namespace tensorbroker {
namespace {

constexpr std::size_t kEntries = 8;
constexpr std::size_t kCells = 8;
// A rebuild of the index takes kCells + 1 slices.
constexpr broker::IndexSlice kSlice{.emptied = kCells, .moved = 1};
constexpr std::size_t kElements = 16;
constexpr std::array<std::uint64_t, 2> kHashes{0x1111111100000000, 0x2222222200000000};  // the same place

int rounds() {
  const char* said = std::getenv("TENSORBROKER_TEST_ROUNDS");
  return said != nullptr ? static_cast<int>(std::strtol(said, nullptr, 10)) : 20'000;
}

std::uint64_t seed() {
  const char* said = std::getenv("TENSORBROKER_TEST_SEED");
  const std::uint64_t chosen = said != nullptr ? std::strtoull(said, nullptr, 10) : std::random_device{}();
  std::cout << "[ seed     ] " << chosen << '\n';
  return chosen;
}

// One bit for each name.
constexpr std::uint64_t beginnings_of(std::uint64_t hash) { return hash >> 32; }

// A catalog in plain memory, and the blocks of its entries.
struct Shared {
  CatalogRoot root{};
  std::array<Entry, kEntries> entries{};
  std::array<std::array<Word, kCells>, 2> index{};
  std::array<std::array<Word, kCells>, 2> beginnings{};
  SessionRecord record{};
  std::array<std::array<std::uint64_t, kElements>, kEntries> blocks{};  // no atomics
  BasicCatalogView<Word> view{
      &root, entries.data(), {index[0].data(), index[1].data()}, kCells, {beginnings[0].data(), beginnings[1].data()}};
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
  Broker(Shared& shared, std::vector<Reader>& readers) : shared_(shared), names_(shared.view, kSlice) {
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
    if (n % 31 <= kCells) names_.advance([](unsigned, std::uint64_t, std::uint64_t) {});
    reclaim();
  }
  void put_and_reclaim(std::uint64_t hash) {
    put(hash);
    reclaim();
  }
  std::uint64_t reused() const { return reused_; }
  EntryId current(std::uint64_t hash) { return place_of(hash).entry; }
  bool is_leased(EntryId id) const { return broker::leased_entries(tables_, kEntries)[id]; }
  // Nobody holds anything: a pass frees all that is retired.
  bool all_free() {
    reclaim();
    return retired_.empty();
  }

  // Without a look at the leases.
  void free_all() {
    free_.insert(free_.end(), retired_.begin(), retired_.end());
    retired_.clear();
  }

  void put(std::uint64_t hash) {
    if (free_.empty()) return;
    const EntryId id = free_.front();
    auto place = place_of(hash);
    if (place.entry == kNoEntry && names_.load(place.cell) == kEmptyCell && !names_.has_room()) {
      names_.rebuild([](unsigned, std::uint64_t, std::uint64_t) {});
      place = place_of(hash);
    }
    free_.erase(free_.begin());
    const std::uint64_t version = next_++;
    shared_.blocks[id].fill(version);
    broker::fill_spare(shared_.entries[id], {.name_hash = hash, .header = {}, .state = {.is_named = true}});
    broker::Mutation m{.kind = IntentKind::kPublish,
                       .cell = place.cell,
                       .cell_value = make_cell(hash, id),
                       .beginnings = beginnings_of(hash),
                       .entry = id,
                       .generation = live(version << 1),
                       .replaced = place.entry};
    commit(m);
    ++reused_;
  }

 private:
  broker::NameIndex::Place place_of(std::uint64_t hash) {
    return names_.find(hash, [&](EntryId e) { return shared_.entries[e].name_hash.load() == hash; });
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
    names_.changed(m.cell, before, m.cell_value);
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

// ---------------------------------------------------------------- a listing, which leases nothing that it passes by

// Cells that a glance has not shown to be another name's; nullopt where the index was rebuilt meanwhile.
std::optional<int> cells_that_may_be(const Shared& shared, std::uint64_t hash) {
  const std::uint64_t root = shared.root.index.load();
  int cells = 0;
  const unsigned region = IndexRoot::unpack(root).region;
  for (std::size_t i = 0; i < kCells; ++i) {
    const std::uint64_t wanted = beginnings_of(hash);
    if ((shared.beginnings[region][i].load(std::memory_order_relaxed) & wanted) != wanted) continue;
    const Word& word = shared.index[region][i];
    const std::uint64_t cell = word.load(std::memory_order_acquire);
    if (!cell_is_entry(cell)) continue;
    const Entry& entry = shared.entries[cell_entry(cell)];
    std::uint64_t seen = 0;
    const bool whole = glance(word, cell, entry, [&] { seen = entry.name_hash.load(std::memory_order_relaxed); });
    cells += whole && seen != hash ? 0 : 1;
  }
  return shared.root.index.load() == root ? std::optional(cells) : std::nullopt;
}

// With eight entries for two names, each is used again at once, half of the time under the other name.
TEST(Threads, AListingPassesByNoNameThatIsAlwaysThere) {
  const auto shared = std::make_unique<Shared>();
  std::vector<Reader> readers(1);  // a broker wants a session
  Broker broker(*shared, readers);
  for (const std::uint64_t hash : kHashes) broker.put(hash);
  std::atomic<std::uint64_t> listed{0};
  std::thread lister([&] {
    while (!shared->done.load()) {
      for (const std::uint64_t hash : kHashes) {
        const std::optional<int> cells = cells_that_may_be(*shared, hash);
        if (!cells) continue;
        ASSERT_GE(*cells, 1);
        ++listed;
      }
    }
  });
  std::mt19937_64 random(seed());
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto least = 10 * static_cast<std::uint64_t>(rounds());
  for (std::uint64_t n = 0; n < least || (listed < 1000 && std::chrono::steady_clock::now() < limit); ++n) {
    broker.put_and_reclaim(kHashes[random() % kHashes.size()]);
  }
  shared->done.store(true);
  lister.join();
  EXPECT_GE(listed, 1000u);
}

// ---------------------------------------------------------------- one lookup against one reclaim pass, on two cores

// Lines that the store of a lease has to wait behind: on x86 stores leave a core in order.
struct Backlog {
  struct alignas(64) Line {
    std::atomic<std::uint64_t> word{0};
  };
  std::array<Line, 24> lines;

  void touch(std::uint64_t value) {
    for (Line& line : lines) line.word.store(value, std::memory_order_relaxed);
  }
};

// Two threads begin each round together, as far as that can be had.
class Rounds {
 public:
  void meet(std::uint64_t round) {
    at_.fetch_add(1);
    for (int spins = 0; at_.load() < 2 * round; ++spins) {
      if (spins > 2000) std::this_thread::yield();
    }
  }

 private:
  alignas(64) std::atomic<std::uint64_t> at_{0};
};

// Keeps this thread on one core; where that is refused the test is weaker.
class Pinned {
 public:
  explicit Pinned(unsigned core) {
    pthread_getaffinity_np(pthread_self(), sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
  }
  ~Pinned() { pthread_setaffinity_np(pthread_self(), sizeof before_, &before_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;

 private:
  cpu_set_t before_{};
};

void pause_for(std::uint64_t times) {
  for (std::uint64_t i = 0; i < times; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
}

// Dekker: a broker that does not see the lease is seen by the reader, which withdraws.
TEST(Threads, OneOfReaderAndBrokerSeesTheOther) {
  const auto shared = std::make_unique<Shared>();
  const auto backlog = std::make_unique<Backlog>();
  std::vector<Reader> readers(1);
  Broker broker(*shared, readers);
  broker.put(kHashes[0]);
  Reader& reader = readers[0];
  const std::uint64_t least = static_cast<std::uint64_t>(rounds()) * 15;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  std::mt19937_64 random(seed());
  std::array<std::uint64_t, 1024> delays;
  for (std::uint64_t& delay : delays) delay = random() % 400;
  Rounds starts;
  Rounds ends;
  std::atomic<EntryId> held{kNoEntry};
  std::atomic<bool> done{false};
  std::thread thread([&] {
    const Pinned pinned(1);
    for (std::uint64_t round = 1; !done; ++round) {
      EntryId id = kNoEntry;
      const auto matches = [](EntryId) { return true; };
      starts.meet(round);
      pause_for(delays[round * 7 % delays.size()]);
      backlog->touch(round);
      lookup(shared->view, kHashes[0], reader.lease, matches, [] {}, &id);
      held.store(id);
      ends.meet(2 * round - 1);
      ends.meet(2 * round);
    }
  });
  const Pinned pinned(0);
  std::uint64_t unseen = 0;
  std::uint64_t kept = 0;
  std::uint64_t round = 1;
  for (bool last = false; !last; ++round) {
    last = round >= least || std::chrono::steady_clock::now() > limit;
    const EntryId old = broker.current(kHashes[0]);
    backlog->touch(0);
    starts.meet(round);
    pause_for(delays[round % delays.size()]);
    broker.put(kHashes[0]);
    const bool seen = broker.is_leased(old);
    ends.meet(2 * round - 1);
    unseen += held.load() == old && !seen ? 1 : 0;
    kept += held.load() == old ? 1 : 0;
    reader.lease.store(0);
    broker.free_all();
    done = last;
    ends.meet(2 * round);
  }
  thread.join();
  std::cout << "[ rounds   ] " << round << ", the old version held in " << kept << '\n';
  EXPECT_EQ(unseen, 0u) << "held, and the broker saw no lease";
}

}  // namespace
}  // namespace tensorbroker
