// Sessions: records, leases, spares; what their end frees.

#include <sys/stat.h>

#include "store_fixture.h"

namespace tensorbroker::broker {
namespace {

TEST_F(StoreTest, SessionHasARecordAndASegmentUntilItsEnd) {
  create();
  const std::uint64_t first = store->add_session(1000, 41);
  const std::uint64_t second = store->add_session(1001, 42, first);
  EXPECT_GT(second, first);
  EXPECT_EQ(store->session_info(second).parent, first);
  EXPECT_EQ(store->statistics().sessions, 1u) << "an heir is not a process";
  EXPECT_EQ(segments().size(), 4u);
  store->remove_session(first);
  EXPECT_FALSE(store->has_session(first));
  EXPECT_EQ(store->heirs_of(first), std::vector<std::uint64_t>{second});
  EXPECT_EQ(segments().size(), 3u);
  EXPECT_THROW(store->session_info(first), NotFoundError);
  EXPECT_THROW(store->grant_spares(first, 1), NotFoundError);
  store->remove_session(first);
}

TEST_F(StoreTest, SessionsBeyondTheLimitAreRefused) {
  create(CatalogOptions{.capacity = kMiB, .max_sessions = 2, .runtime_dir = {}});
  const std::uint64_t first = connect();
  connect();
  EXPECT_THROW(connect(), QuotaError);
  store->remove_session(first);
  EXPECT_NO_THROW(connect());
}

TEST_F(StoreTest, HundredsOfSessionsComeAndGo) {
  create();
  for (int round = 0; round < 3; ++round) {
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < 200; ++i) ids.push_back(connect());
    EXPECT_EQ(store->sessions(), ids);
    for (const std::uint64_t id : ids) store->remove_session(id);
  }
  EXPECT_EQ(segments().size(), 2u);
}

TEST_F(StoreTest, SparesAreOwnedAndBounded) {
  create();
  const std::uint64_t session = connect();
  const std::vector<EntryId> spares = store->grant_spares(session, 1000);
  EXPECT_EQ(spares.size(), Store::kMaxSpares);
  for (const EntryId id : spares) {
    EXPECT_EQ(store->catalog().entry(id).owner.load(), session);
    EXPECT_EQ(EntryState::unpack(store->catalog().entry(id).state.load()).phase, EntryPhase::kSpare);
  }
  EXPECT_TRUE(store->grant_spares(session, 1).empty());
  store->remove_session(session);
  for (const EntryId id : spares) {
    EXPECT_EQ(EntryState::unpack(store->catalog().entry(id).state.load()).phase, EntryPhase::kFree);
  }
}

TEST_F(StoreTest, LeasesGrowAndCellsBeyondAreNotRead) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  publish(session, "a", extent.range.offset, 64);
  EXPECT_EQ(store->grow_leases(session, 10), kInitialLeases);
  EXPECT_EQ(store->grow_leases(session, kInitialLeases + 1), kInitialLeases + 512);
  const EntryId entry = get(session, "a", kInitialLeases + 511);
  remove(session, "a");
  store->reclaim_if_due();
  EXPECT_EQ(store->retired_entries(), 1u);
  let_go(session, kInitialLeases + 511);
  store->session_mapping(session).control().lease_high_water.store(~std::uint64_t{0});  // nonsense from a client
  store->session_mapping(session).lease(0).store(~std::uint64_t{0});
  store->reclaim_if_due();
  EXPECT_EQ(store->retired_entries(), 0u);
  EXPECT_EQ(EntryState::unpack(store->catalog().entry(entry).state.load()).phase, EntryPhase::kFree);
  EXPECT_EQ(store->grow_leases(session, ~std::uint32_t{0}), kLeasesLimit);
}

TEST_F(StoreTest, ManyExtentsHaveStateWordsOfTheirOwn) {
  create(64 * kMiB);
  const std::uint64_t session = connect();
  std::set<std::uint32_t> slots;
  std::vector<std::uint32_t> ids;
  for (int i = 0; i < 1500; ++i) {
    const Granted extent = grant(session, kPageSize);
    slots.insert(extent.slot);
    ids.push_back(extent.extent);
  }
  EXPECT_EQ(slots.size(), 1500u);
  store->give_back(session, ids);
  EXPECT_EQ(store->statistics().used, 0u);
  EXPECT_TRUE(slots.contains(grant(session, kPageSize).slot));
}

TEST_F(StoreTest, TrimmedPagesAreOnesAgain) {
  create(16 * kMiB);
  const std::uint64_t session = connect();
  const Granted pinned = grant(session, 7 * kMiB);
  for (int i = 0; i < 40; ++i) {  // a range that went astray each time would use the addresses up
    const Granted small = grant(session, 4 * kMiB);
    const Granted wall = grant(session, kMiB);
    store->give_back(session, {{small.extent}});
    const Granted large = grant(session, 8 * kMiB);
    store->give_back(session, {{large.extent, wall.extent}});
  }
  EXPECT_EQ(store->statistics().used, pinned.range.bytes);
  EXPECT_LE(store->statistics().used + store->statistics().warm, 16 * kMiB);
}

TEST_F(StoreTest, PagesReservedBeforeTheErrorAreGivenUp) {
  create();
  const auto blocks = [this] {
    struct stat status{};
    stat((std::string(kShmDirectory) + "/" + store->arena().name()).c_str(), &status);
    return status.st_blocks;
  };
  const auto before = blocks();
  const Range beyond_any_file{(std::uint64_t{1} << 63) - kPageSize, kPageSize};
  EXPECT_NE(store->arena().prepare({}, {{Range{kPageSize, kMiB}, beyond_any_file}}), 0);
  EXPECT_EQ(blocks(), before);
}

}  // namespace
}  // namespace tensorbroker::broker
