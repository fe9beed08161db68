// Extents: granted, charged, given back, taken under pressure.

#include "store_fixture.h"

namespace tensorbroker::broker {
namespace {

class StoreMemoryTest : public StoreTest {
 protected:
  Word& state(std::uint64_t session, const Granted& extent) {
    return store->session_mapping(session).extent_state(extent.slot);
  }
};

TEST_F(StoreMemoryTest, GrantIsOnRecordChargedAndHasItsPages) {
  create();
  const std::uint64_t session = connect();
  const std::uint64_t before = resident();
  const Granted extent = grant(session, 3 * kMiB + 1);
  EXPECT_EQ(extent.range.bytes, 3 * kMiB + kPageSize);
  EXPECT_EQ(resident(), before + extent.range.bytes);
  const ExtentRecord& record = store->catalog().extent(extent.extent);
  EXPECT_EQ(record.owner.load(), session);
  EXPECT_EQ(record.offset.load(), extent.range.offset);
  EXPECT_EQ(record.bytes.load(), extent.range.bytes);
  EXPECT_EQ(record.slot.load(), extent.slot);
  EXPECT_EQ(state(session, extent).load(), static_cast<std::uint64_t>(ExtentState::kUsed));
  EXPECT_EQ(store->statistics().used, extent.range.bytes);
  EXPECT_EQ(store->session_info(session).charged, extent.range.bytes);
}

TEST_F(StoreMemoryTest, ExtentGivenBackIsHandedOutWarm) {
  create();
  const std::uint64_t session = connect();
  const Granted first = grant(session, 4 * kMiB);
  store->give_back(session, {{first.extent}});
  EXPECT_EQ(store->statistics().used, 0u);
  EXPECT_EQ(store->statistics().warm, 4 * kMiB);
  const Reservation again = store->begin_grant(session, 4 * kMiB);
  EXPECT_TRUE(again.ready());
  EXPECT_EQ(store->finish_grant(again).range, first.range);
  EXPECT_THROW(store->give_back(session, {{first.extent + 1000}}), InvalidArgumentError);
}

TEST_F(StoreMemoryTest, TheEndOfAnExtentGivenBackIsHandedOutWarm) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, 4 * kMiB);
  const Range range = extent.range;
  publish(session, "a", range.offset, kMiB);
  store->give_back(session, {{extent.extent}}, {{kMiB}});
  EXPECT_EQ(store->catalog().extent(extent.extent).bytes.load(), kMiB);
  EXPECT_EQ(store->statistics().used, kMiB);
  EXPECT_EQ(store->session_info(session).charged, kMiB);
  EXPECT_EQ(store->statistics().warm, 3 * kMiB);
  EXPECT_THROW(publish(session, "b", range.offset + kMiB, 64), InvalidArgumentError);
  const Reservation end = store->begin_grant(session, 3 * kMiB);
  EXPECT_TRUE(end.ready());
  EXPECT_EQ(store->finish_grant(end).range, (Range{range.offset + kMiB, 3 * kMiB}));
  EXPECT_TRUE(holds(get(session, "a", 0), kMiB, 1));
}

TEST_F(StoreMemoryTest, AnExtentIsCutAtAPageAndBeyondItsTensorsOrNotAtAll) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, 4 * kMiB);
  const Granted other = grant(session, kMiB);
  publish(session, "a", extent.range.offset + kMiB, 100);
  const auto refused = [&](const std::vector<std::uint32_t>& ids, const std::vector<std::uint64_t>& keep) {
    EXPECT_THROW(store->give_back(session, ids, keep), InvalidArgumentError);
  };
  refused({extent.extent}, {2 * kMiB + 64});
  refused({extent.extent}, {4 * kMiB});
  refused({extent.extent}, {~std::uint64_t{0} / kPageSize * kPageSize});
  refused({extent.extent}, {kMiB});
  refused({other.extent, extent.extent}, {0, kPageSize});
  refused({other.extent, extent.extent}, {kPageSize});
  refused({other.extent, other.extent}, {2 * kPageSize, kPageSize});
  EXPECT_EQ(store->statistics().used, 5 * kMiB) << "nothing of it was done";
  store->give_back(session, {{extent.extent}}, {{kMiB + kPageSize}});
  EXPECT_EQ(store->statistics().used, 2 * kMiB + kPageSize);
}

TEST_F(StoreMemoryTest, WhatWasTakenIsNotCutAndNotHandedOutBeforeAllOfItIsGivenBack) {
  create(64 * kMiB);
  const std::uint64_t idle = connect();
  const Granted free = grant(idle, 40 * kMiB);
  state(idle, free).store(static_cast<std::uint64_t>(ExtentState::kFree));
  grant(connect(), 40 * kMiB);
  ASSERT_EQ(state(idle, free).load(), static_cast<std::uint64_t>(ExtentState::kTaken));
  store->give_back(idle, {{free.extent}}, {{8 * kMiB}});
  EXPECT_EQ(store->catalog().extent(free.extent).bytes.load(), 40 * kMiB);
  EXPECT_EQ(store->statistics().used, 40 * kMiB);
  store->give_back(idle, {{free.extent}});
  EXPECT_EQ(store->statistics().used, 40 * kMiB);
  EXPECT_EQ(store->session_info(idle).charged, 0u);
}

TEST_F(StoreMemoryTest, WarmPagesBeyondAQuarterOfTheCapacityArePunched) {
  create(64 * kMiB);
  const std::uint64_t session = connect();
  const Granted extent = grant(session, 40 * kMiB);
  const std::uint64_t full = resident();
  store->give_back(session, {{extent.extent}});
  do_punch_work();
  EXPECT_EQ(store->statistics().warm, 16 * kMiB);
  EXPECT_EQ(resident(), full - 24 * kMiB);
  EXPECT_TRUE(store->take_punch_work().empty());
}

TEST_F(StoreMemoryTest, NineTenthsOfTheCapacityInOnePieceAndNoMoreThanAllOfIt) {
  create(64 * kMiB);
  const std::uint64_t session = connect();
  std::vector<std::uint32_t> small;
  for (int i = 0; i < 60; ++i) small.push_back(grant(session, kMiB).extent);
  for (std::size_t i = 0; i < small.size(); i += 2) store->give_back(session, {{small[i]}});
  for (std::size_t i = 1; i < small.size(); i += 2) store->give_back(session, {{small[i]}});
  const Granted large = grant(session, 60 * kMiB);
  EXPECT_LE(resident(), 64 * kMiB + kPageSize);
  EXPECT_THROW(store->begin_grant(session, 5 * kMiB), OutOfMemoryError);
  EXPECT_THROW(store->begin_grant(session, 65 * kMiB), OutOfMemoryError);
  EXPECT_THROW(store->begin_grant(session, ~std::uint64_t{0}), OutOfMemoryError);
  EXPECT_THROW(store->begin_grant(session, 0), InvalidArgumentError);
  EXPECT_EQ(store->statistics().used, large.range.bytes);
  EXPECT_NO_THROW(grant(session, 4 * kMiB));
}

TEST_F(StoreMemoryTest, MessageSaysAskedUsedCapacityAndLeft) {
  create(64 * kMiB);
  const std::uint64_t session = connect();
  grant(session, 60 * kMiB);
  try {
    store->begin_grant(session, 8 * kMiB);
    FAIL() << "granted beyond the capacity";
  } catch (const OutOfMemoryError& e) {
    const std::string message = e.what();
    for (const std::uint64_t n : {8 * kMiB, 60 * kMiB, 64 * kMiB}) {
      EXPECT_NE(message.find(std::to_string(n)), std::string::npos) << message;
    }
    EXPECT_NE(message.find("/dev/shm has"), std::string::npos) << message;
    EXPECT_NE(message.find("--capacity"), std::string::npos) << message;
  }
}

TEST_F(StoreMemoryTest, GrantThatThePagesWereNotThereForLeavesNothing) {
  create(64 * kMiB);
  const std::uint64_t session = connect();
  const Granted extent = grant(session, 8 * kMiB);
  store->give_back(session, {{extent.extent}});
  const Statistics before = store->statistics();
  const Reservation reservation = store->begin_grant(session, 20 * kMiB);
  EXPECT_GT(store->statistics().used, before.used);
  const OutOfMemoryError error = store->abort_grant(reservation, ENOSPC);
  EXPECT_NE(std::string(error.what()).find("--shm-size"), std::string::npos);
  EXPECT_EQ(store->statistics().used, before.used);
  EXPECT_EQ(store->statistics().warm, before.warm);
  EXPECT_EQ(store->session_info(session).charged, 0u);
  EXPECT_THROW(store->finish_grant(reservation), NotFoundError);
  EXPECT_NO_THROW(grant(session, 60 * kMiB));
}

TEST_F(StoreMemoryTest, SessionThatEndsDuringItsGrantLeavesNothing) {
  create();
  const std::uint64_t session = connect();
  const Reservation reservation = store->begin_grant(session, kMiB);
  store->remove_session(session);
  EXPECT_EQ(store->arena().prepare(reservation.punch, reservation.reserve), 0);
  EXPECT_THROW(store->finish_grant(reservation), NotFoundError);
  EXPECT_EQ(store->statistics().used, 0u);
  EXPECT_EQ(store->statistics().warm, kMiB);
}

TEST_F(StoreMemoryTest, LimitsOfSessionAndUser) {
  create(CatalogOptions{.capacity = 64 * kMiB, .session_limit = 8 * kMiB, .user_limit = 12 * kMiB});
  const std::uint64_t first = connect();
  const std::uint64_t second = connect();
  grant(first, 7 * kMiB);
  EXPECT_THROW(store->begin_grant(first, 2 * kMiB), QuotaError);
  EXPECT_THROW(store->begin_grant(second, 6 * kMiB), QuotaError);
  const std::uint64_t other_user = store->add_session(1001, 43);
  EXPECT_NO_THROW(grant(other_user, 8 * kMiB));
  EXPECT_NO_THROW(grant(second, 5 * kMiB));
}

TEST_F(StoreMemoryTest, FreeExtentsOfLivingSessionsAreTakenUnderPressure) {
  create(64 * kMiB);
  const std::uint64_t idle = connect();
  const std::uint64_t busy = connect();
  const Granted kept = grant(idle, 10 * kMiB);
  const Granted free = grant(idle, 30 * kMiB);
  const Granted holding = grant(idle, 10 * kMiB);
  publish(idle, "a", holding.range.offset, 64);
  for (const Granted* extent : {&free, &holding}) {
    state(idle, *extent).store(static_cast<std::uint64_t>(ExtentState::kFree));
  }
  const Granted wanted = grant(busy, 40 * kMiB);
  EXPECT_EQ(state(idle, free).load(), static_cast<std::uint64_t>(ExtentState::kTaken));
  EXPECT_EQ(state(idle, kept).load(), static_cast<std::uint64_t>(ExtentState::kUsed));
  EXPECT_EQ(state(idle, holding).load(), static_cast<std::uint64_t>(ExtentState::kFree));
  EXPECT_EQ(store->statistics().used, 60 * kMiB);
  EXPECT_LE(resident(), 60 * kMiB + kPageSize);
  EXPECT_EQ(store->session_info(idle).charged, 20 * kMiB);
  // Nobody else gets the addresses before their owner no longer maps them.
  EXPECT_TRUE(wanted.range.end() <= free.range.offset || free.range.end() <= wanted.range.offset);
  EXPECT_THROW(publish(idle, "b", free.range.offset, 64), InvalidArgumentError);
  // A write of the owner's in between brings pages back, which nobody is told of: they are punched before their use.
  arena()[free.range.offset] = std::byte{1};
  store->give_back(idle, {{free.extent}});
  do_punch_work();
  EXPECT_LE(resident(), 60 * kMiB + kPageSize);
}

TEST_F(StoreMemoryTest, TooLittleToTakeLeavesTheOwnersAlone) {
  create(64 * kMiB);
  const std::uint64_t idle = connect();
  const Granted free = grant(idle, 10 * kMiB);
  state(idle, free).store(static_cast<std::uint64_t>(ExtentState::kFree));
  const std::uint64_t busy = connect();
  grant(busy, 50 * kMiB);
  EXPECT_THROW(store->begin_grant(busy, 20 * kMiB), OutOfMemoryError);
  EXPECT_EQ(state(idle, free).load(), static_cast<std::uint64_t>(ExtentState::kFree));
}

TEST_F(StoreMemoryTest, BlocksOutliveTheirExtentsOwner) {
  create();
  const std::uint64_t session = connect();
  const std::uint64_t reader = connect();
  const Granted extent = grant(session, kMiB);
  publish(session, "a", extent.range.offset, 64, 1);
  publish(session, "b", extent.range.offset + 64, 64, 2);
  publish(session, "c", extent.range.offset + 128, 2 * kPageSize, 3);
  publish(session, "d", extent.range.offset + 128 * 1024, kPageAlignedBlock, 4);
  store->remove_session(session);
  EXPECT_EQ(store->statistics().used, 3 * kPageSize + kPageAlignedBlock);
  EXPECT_TRUE(holds(get(reader, "a", 0), 64, 1));
  EXPECT_TRUE(holds(get(reader, "d", 1), kPageAlignedBlock, 4));
  remove(reader, "c");
  store->reclaim_if_due();
  EXPECT_EQ(store->statistics().used, kPageSize + kPageAlignedBlock) << "the first page is shared";
  remove(reader, "b");
  store->reclaim_if_due();
  EXPECT_EQ(store->statistics().used, kPageSize + kPageAlignedBlock);
  let_go(reader, 0);
  remove(reader, "a");
  store->reclaim_if_due();
  EXPECT_EQ(store->statistics().used, kPageAlignedBlock);
  let_go(reader, 1);
  remove(reader, "d");
  store->reclaim_if_due();
  EXPECT_EQ(store->statistics().used, 0u);
  EXPECT_EQ(store->statistics().warm, kMiB);
}

TEST_F(StoreMemoryTest, ReplacingForEverTakesNoMoreThanThreeVersions) {
  create(16 * kMiB);
  const std::uint64_t session = connect();
  const Granted extents[3] = {grant(session, kMiB), grant(session, kMiB), grant(session, kMiB)};
  for (int i = 0; i < 1000; ++i) {
    publish(session, "model", extents[i % 3].range.offset, kMiB, i & 0x7f);
    store->reclaim_if_due();
    store->session_mapping(session).control().returns_tail.store(
        store->session_mapping(session).control().returns_head.load());
  }
  EXPECT_EQ(store->statistics().used, 3 * kMiB);
  EXPECT_EQ(store->statistics().block_returns, 999u);
}

}  // namespace
}  // namespace tensorbroker::broker
