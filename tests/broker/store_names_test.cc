// Publishing, replacing and deleting, as readers see it.

#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "proto/name.h"
#include "store_fixture.h"

namespace tensorbroker::broker {
namespace {

TEST_F(StoreTest, IdleInstanceIsSmall) {
  create(1024 * kMiB);
  connect();
  std::uint64_t blocks = 0;
  for (const std::string& segment : segments()) {
    struct stat status{};
    ASSERT_EQ(stat((std::string(kShmDirectory) + "/" + segment).c_str(), &status), 0);
    blocks += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  EXPECT_LT(blocks, 2 * kMiB);
}

TEST_F(StoreTest, PublishedNameIsFound) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  const std::uint64_t version = publish(session, "weights", extent.range.offset, 100, 5);
  const EntryId entry = get(session, "weights", 0);
  ASSERT_NE(entry, kNoEntry);
  EXPECT_EQ(generation(entry), version);
  EXPECT_TRUE(is_live(version));
  EXPECT_TRUE(holds(entry, 100, 5));
  EXPECT_EQ(store->catalog().record(entry).name, "weights");
  EXPECT_EQ(store->catalog().entry(entry).owner.load(), session);
  EXPECT_EQ(get(session, "Weights", 1), kNoEntry);
  EXPECT_EQ(store->statistics().tensors, 1u);
  EXPECT_EQ(store->statistics().live, 128u);
}

TEST_F(StoreTest, ReplacedEntryStaysWhileLeasedAndGoesThen) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  publish(session, "a", extent.range.offset, 64, 1);
  const EntryId first = get(session, "a", 0);
  publish(session, "a", extent.range.offset + 64, 64, 2);
  store->reclaim_if_due();
  EXPECT_EQ(store->retired_entries(), 1u);
  EXPECT_TRUE(holds(first, 64, 1));
  const EntryId second = get(session, "a", 1);
  EXPECT_NE(second, first);
  EXPECT_GT(generation(second), generation(first));

  let_go(session, 0);
  EXPECT_TRUE(store->rang(session));
  store->reclaim_if_due();
  EXPECT_FALSE(store->rang(session));
  EXPECT_EQ(store->retired_entries(), 0u);
  const SessionSegment& segment = store->session_mapping(session);
  ASSERT_EQ(segment.control().returns_head.load(), 1u);
  EXPECT_EQ(segment.block_return(0).block_offset.load(), extent.range.offset);
  EXPECT_EQ(segment.block_return(0).generation.load(), generation(first));
}

TEST_F(StoreTest, DeletedNameIsMissingAndItsGenerationMustBeTheOneThere) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  const std::uint64_t version = publish(session, "a", extent.range.offset, 64);
  try {
    store->remove(session, next_sequence++, "a", version - 2);
    FAIL() << "deleted a version that is not there";
  } catch (const ReplacedError& e) {
    EXPECT_EQ(e.generation(), version);
    EXPECT_EQ(std::string(e.what()).rfind("replaced", 0), 0u);
  }
  remove(session, "a");
  EXPECT_EQ(get(session, "a", 0), kNoEntry);
  EXPECT_THROW(store->remove(session, next_sequence++, "a", version), NotFoundError);
  EXPECT_EQ(store->statistics().tensors, 0u);
  publish(session, "a", extent.range.offset + 64, 64);
  EXPECT_NE(get(session, "a", 0), kNoEntry);
}

TEST_F(StoreTest, OverwriteMustBeAllowed) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  const std::uint64_t version = publish(session, "a", extent.range.offset, 64);
  EXPECT_THROW(publish(session, "a", extent.range.offset + 64, 64, 1, false), ExistsError);
  EXPECT_EQ(generation(get(session, "a", 0)), version);
}

TEST_F(StoreTest, RepeatedMutationHasItsFirstResultAndNoEffect) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  const std::uint64_t version = publish(session, "a", extent.range.offset, 64);
  const std::uint64_t sequence = next_sequence - 1;
  publish(session, "a", extent.range.offset + 64, 64);
  const Publication same{.entry = 0, .name = "a"};
  EXPECT_EQ(store->publish(session, sequence, same), version);
  EXPECT_GT(generation(get(session, "a", 0)), version);
  EXPECT_THROW(store->publish(session, 0, same), InvalidArgumentError);

  next_sequence = sequence + kWindow;
  publish(session, "b", extent.range.offset + 128, 64);
  EXPECT_THROW(store->publish(session, sequence, same), RuntimeError);
}

TEST_F(StoreTest, BlockMustBeThePublishersOwnAlignedAndFree) {
  create();
  const std::uint64_t session = connect();
  const std::uint64_t other = connect();
  const Granted extent = grant(session, kMiB);
  const Granted foreign = grant(other, kMiB);
  const std::uint64_t begin = extent.range.offset;
  publish(session, "a", begin + 64, 128);
  EXPECT_THROW(publish(session, "b", begin + 1, 8), InvalidArgumentError);
  EXPECT_THROW(publish(session, "b", begin + 64, 64), InvalidArgumentError);
  EXPECT_THROW(publish(session, "b", begin, 65), InvalidArgumentError);
  EXPECT_THROW(publish(session, "b", begin + 128, 8), InvalidArgumentError);
  EXPECT_THROW(publish(session, "b", foreign.range.offset, 8), InvalidArgumentError);
  EXPECT_THROW(publish(session, "b", extent.range.end() - 64, 65), InvalidArgumentError);
  EXPECT_THROW(publish(session, "b", begin + 4096 + 64, kPageAlignedBlock), InvalidArgumentError);
  const auto header = bytes_header(8);
  Publication p{.entry = spare(session), .name = "b", .header = header, .block_offset = 0, .block_bytes = 8};
  for (const std::uint64_t huge : {~std::uint64_t{0}, ~std::uint64_t{0} - 4095, std::uint64_t{1} << 63}) {
    p.block_offset = begin;
    p.block_bytes = huge;
    EXPECT_THROW(store->publish(session, next_sequence++, p), InvalidArgumentError);
    p.block_bytes = 8;
    p.block_offset = round_up(huge - 4096, 4096);
    EXPECT_THROW(store->publish(session, next_sequence++, p), InvalidArgumentError);
  }
  p.block_offset = begin + 192;
  EXPECT_THROW(store->publish(other, next_sequence++, p), InvalidArgumentError) << "the spare is another's";
  p.header = std::span(header).first(7);
  EXPECT_THROW(store->publish(session, next_sequence++, p), InvalidArgumentError);
  p.header = header;
  p.name = "tb://x";
  EXPECT_THROW(store->publish(session, next_sequence++, p), InvalidArgumentError);
  p.name = "b";
  EXPECT_NO_THROW(store->publish(session, next_sequence++, p));
  EXPECT_THROW(store->publish(session, next_sequence++, p), InvalidArgumentError) << "a spare serves once";
}

TEST_F(StoreTest, TensorWithoutElementsNeedsNoBlock) {
  create();
  const std::uint64_t session = connect();
  publish(session, "empty", 0, 0);
  publish(session, "empty too", 0, 0);
  publish(session, "empty", 0, 0);
  store->reclaim_if_due();
  EXPECT_EQ(store->retired_entries(), 0u);
  EXPECT_NE(get(session, "empty", 0), kNoEntry);
  EXPECT_EQ(store->session_mapping(session).control().returns_head.load(), 0u);
}

TEST_F(StoreTest, AnonymousEntryLivesByItsLeasesAndPins) {
  create();
  const std::uint64_t session = connect();
  const std::uint64_t other = connect();
  const Granted extent = grant(session, kMiB);
  const EntryId entry = spare(session);
  SessionSegment& segment = store->session_mapping(session);
  segment.control().lease_high_water.store(1);
  store_lease(segment.lease(0), entry);
  const auto header = bytes_header(8);
  const std::uint64_t version = store->publish(
      session, next_sequence++,
      {.entry = entry, .name = {}, .header = header, .block_offset = extent.range.offset, .block_bytes = 8});
  EXPECT_FALSE(is_live(version));
  EXPECT_EQ(store->statistics().tensors, 0u);
  EXPECT_EQ(store->reclaim(), 0u);
  EXPECT_EQ(store->holders(entry, version), 1u);
  EXPECT_EQ(store->statistics().leases, 1u);

  EXPECT_EQ(store->pin_entry(other, entry, version).generation, version);
  EXPECT_EQ(store->statistics().pins, 1u);
  EXPECT_TRUE(store->next_pin_deadline().has_value());
  let_go(session, 0);
  EXPECT_EQ(store->reclaim(), 0u);
  store->unpin(other, entry, version);
  EXPECT_FALSE(store->next_pin_deadline().has_value());
  EXPECT_EQ(store->statistics().leases + store->statistics().pins, 0u);
  EXPECT_EQ(store->reclaim(), 1u);
  EXPECT_THROW(store->pin_entry(other, entry, version), NotFoundError);
  EXPECT_THROW(store->holders(entry, version), NotFoundError);
}

TEST_F(StoreTest, PinByNameKeepsWhatWasThere) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  const std::uint64_t version = publish(session, "a", extent.range.offset, 64, 9);
  const Pinned pinned = store->pin_name(session, "a");
  EXPECT_EQ(pinned.generation, version);
  remove(session, "a");
  EXPECT_EQ(store->reclaim(), 0u);
  EXPECT_TRUE(holds(pinned.entry, 64, 9));
  store->remove_session(session);
  EXPECT_EQ(store->retired_entries(), 0u);
  EXPECT_EQ(store->statistics().used, 0u);
}

TEST_F(StoreTest, FullRingKeepsTheBlockUntilThereIsAPlace) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  SessionControl& control = store->session_mapping(session).control();
  publish(session, "a", extent.range.offset, 64);
  remove(session, "a");
  control.returns_tail.store(~std::uint64_t{0} - kReturnsLimit + 1);  // the ring looks full
  store->reclaim_if_due();
  EXPECT_EQ(store->retired_entries(), 1u);
  EXPECT_THROW(publish(session, "b", extent.range.offset, 64), InvalidArgumentError);
  control.returns_tail.store(0);
  control.ring.store(1);
  store->reclaim_if_due();
  EXPECT_EQ(store->retired_entries(), 0u);
  EXPECT_EQ(control.returns_head.load(), 1u);
}

TEST_F(StoreTest, NamesBeyondTheLimitAreRefused) {
  create(CatalogOptions{.capacity = kMiB, .max_tensors = 3});
  const std::uint64_t session = connect();
  for (const char* name : {"a", "b", "c"}) publish(session, name, 0, 0);
  EXPECT_THROW(publish(session, "d", 0, 0), OutOfMemoryError);
  EXPECT_NO_THROW(publish(session, "a", 0, 0));
  remove(session, "b");
  EXPECT_NO_THROW(publish(session, "d", 0, 0));
}

TEST_F(StoreTest, WaitersAreToldOfAName) {
  create();
  const std::uint64_t session = connect();
  Word& word = store->catalog().wait_word(hash_name("a"));
  const std::uint64_t before = word.load();
  const std::uint64_t changes = store->catalog().root().changes.load();
  publish(session, "a", 0, 0);
  EXPECT_EQ(word.load(), before + 1);
  remove(session, "a");
  EXPECT_EQ(word.load(), before + 2);
  EXPECT_EQ(store->catalog().root().changes.load(), changes + 2);
}

// Names come and go by thousands, so that the index is rebuilt again and again; one that is always there is never
// missed, and always has its own bytes.
TEST_F(StoreTest, ReaderNeverMissesANameWhileTheIndexIsRebuilt) {
  create();
  const std::uint64_t session = connect();
  const std::uint64_t reader = connect();
  const Granted extent = grant(session, kMiB);
  publish(session, "constant", extent.range.offset, 64, 3);
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> gets = 0;
  std::atomic<std::uint64_t> failures = 0;
  SessionSegment& segment = store->session_mapping(reader);
  segment.control().lease_high_water.store(1);
  const Catalog& catalog = store->catalog();
  std::thread reading([&] {
    const std::uint64_t hash = hash_name("constant");
    while (!done) {
      EntryId found = kNoEntry;
      const LookupStatus status = lookup(
          catalog.view(), hash, segment.lease(0),
          [&](EntryId id) { return catalog.entry_has_name(id, hash, "constant"); },
          [&] { segment.control().ring.exchange(1); }, &found);
      const bool right = status == LookupStatus::kHeld && catalog.record(found).name == "constant";
      failures += right || status == LookupStatus::kContended ? 0 : 1;
      segment.lease(0).store(0);
      ++gets;
    }
  });
  for (int i = 0; i < 20000; ++i) {
    publish(session, "name " + std::to_string(i), 0, 0);
    if (i >= 1000) remove(session, "name " + std::to_string(i - 1000));
    store->reclaim_if_due();
  }
  done = true;
  reading.join();
  EXPECT_EQ(failures.load(), 0u);
  EXPECT_GT(gets.load(), 0u);
  EXPECT_GT(store->statistics().index_rebuilds, 3u);
  EXPECT_EQ(store->statistics().tensors, 1001u);
  for (int i = 19001; i < 20000; ++i) ASSERT_NE(get(session, "name " + std::to_string(i), 0), kNoEntry) << i;
}

}  // namespace
}  // namespace tensorbroker::broker
