// Pages prepared ahead of demand: how many, what a grant has of them, and that they are in nobody's way.

#include <sys/mman.h>
#include <sys/resource.h>

#include "broker/page_jobs.h"
#include "store_fixture.h"

namespace tensorbroker::broker {
namespace {

class PreparedPages : public StoreTest {
 protected:
  static constexpr std::uint64_t kPrepared = 16 * kMiB;
  static constexpr std::uint64_t kPiece = 4 * kMiB;

  void create_with_prepared(std::uint64_t prepared = kPrepared) {
    create(CatalogOptions{.capacity = 64 * kMiB, .prepared = prepared});
    session_ = connect();
    before_ = resident();
  }
  // All that there is to prepare; returns how much it was.
  std::uint64_t prepare() {
    std::uint64_t bytes = 0;
    for (Range piece = store->take_prepare_work(kPiece); !piece.empty(); piece = store->take_prepare_work(kPiece)) {
      EXPECT_LE(piece.bytes, kPiece);
      bytes += piece.bytes;
      store->prepared(piece, store->arena().reserve_zeroed(piece));
    }
    return bytes;
  }
  // Page faults of one look at each page of a range that this process has not mapped before.
  long faults_of_reading(const Range& range) {
    const auto faults = [] {
      rusage usage{};
      getrusage(RUSAGE_SELF, &usage);
      return usage.ru_minflt;
    };
    const long begin = faults();
    for (std::uint64_t at = range.offset; at < range.end(); at += kPageSize) {
      const std::byte first = *static_cast<volatile std::byte*>(arena() + at);
      EXPECT_EQ(first, std::byte{0});
    }
    return faults() - begin;
  }

  std::uint64_t session_ = 0;
  std::uint64_t before_ = 0;
};

TEST_F(PreparedPages, AreAsManyAsWasSaidInOnePieceAndNobodys) {
  create_with_prepared();
  EXPECT_EQ(prepare(), kPrepared);
  EXPECT_EQ(resident(), before_ + kPrepared);
  EXPECT_EQ(store->statistics().warm, kPrepared);
  EXPECT_EQ(store->statistics().prepared_bytes, kPrepared);
  EXPECT_EQ(store->statistics().used, 0u);
  EXPECT_EQ(store->session_info(session_).charged, 0u);
  EXPECT_TRUE(store->begin_grant(session_, kPrepared).ready()) << "the worker has nothing left to do";
}

TEST_F(PreparedPages, AreReplacedAfterAGrantUpToWhatTheCapacityLeaves) {
  create_with_prepared();
  prepare();
  grant(session_, kPrepared);
  EXPECT_EQ(prepare(), kPrepared);
  grant(session_, 40 * kMiB);
  prepare();
  EXPECT_LE(resident(), before_ + 64 * kMiB);
  EXPECT_EQ(store->statistics().used + store->statistics().warm, 64 * kMiB);
}

TEST_F(PreparedPages, AreNoneWhereNoneAreWanted) {
  create_with_prepared(0);
  EXPECT_EQ(prepare(), 0u);
}

TEST_F(PreparedPages, WhatWasGivenBackServesAsWell) {
  create_with_prepared();
  const Granted extent = grant(session_, kPrepared);
  store->give_back(session_, {{extent.extent}});
  EXPECT_EQ(prepare(), 0u);
}

TEST_F(PreparedPages, TheirFirstUseZeroesNothing) {
  create_with_prepared();
  prepare();
  const Granted prepared = grant(session_, kPrepared);
  const Granted fresh = grant(session_, kPrepared);
  const long once = faults_of_reading(fresh.range);
  EXPECT_GE(once, static_cast<long>(kPrepared / kPageSize) - 16) << "one for each page that nobody has touched";
  EXPECT_LE(faults_of_reading(prepared.range), once / 2) << "the kernel maps those that are zeroed several at a time";
}

TEST_F(PreparedPages, GoBeforeAGrantIsRefused) {
  create_with_prepared();
  prepare();
  grant(session_, 64 * kMiB);
  EXPECT_LE(resident(), before_ + 64 * kMiB);
  EXPECT_EQ(store->statistics().warm, 0u);
}

TEST_F(PreparedPages, GoBeforeAGrantIsRefusedThoughTheyAreJustBeingPrepared) {
  create_with_prepared();
  const Range piece = store->take_prepare_work(kPiece);
  ASSERT_FALSE(piece.empty());
  EXPECT_EQ(store->arena().reserve_zeroed(piece), 0);
  grant(session_, 64 * kMiB);
  EXPECT_LE(resident(), before_ + 64 * kMiB);
  store->prepared(piece, 0);  // the news comes late
  EXPECT_EQ(store->statistics().warm, 0u);
  EXPECT_EQ(store->statistics().pooled, store->options().arena_bytes - kPageSize - 64 * kMiB);
}

TEST_F(PreparedPages, GoWhenTheyAreToldTo) {
  create_with_prepared();
  prepare();
  store->cool();
  do_punch_work();
  EXPECT_EQ(store->statistics().warm, 0u);
  EXPECT_EQ(resident(), before_);
  grant(session_, kMiB);
  EXPECT_EQ(prepare(), kPrepared);
  EXPECT_TRUE(store->take_punch_work().empty()) << "those that came later stay";
}

TEST_F(PreparedPages, OfAKilledBrokerAreFreedByItsSuccessor) {
  create_with_prepared();
  for (int i = 0; i < 2; ++i) {
    const Range piece = store->take_prepare_work(kPiece);
    EXPECT_EQ(store->arena().reserve_zeroed(piece), 0);
    if (i == 0) store->prepared(piece, 0);  // the other one it was killed over
  }
  EXPECT_EQ(resident(), before_ + 2 * kPiece);
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_EQ(store->options().prepared, kPrepared) << "it goes on as the last one was told";
  do_punch_work();
  EXPECT_EQ(resident(), before_);
  EXPECT_EQ(store->statistics().used, 0u);
  EXPECT_EQ(prepare(), kPrepared);
}

TEST_F(PreparedPages, ThatFailLeaveNothing) {
  create_with_prepared();
  const Range piece = store->take_prepare_work(kPiece);
  EXPECT_TRUE(store->take_prepare_work(kPiece).empty()) << "one at a time";
  store->prepared(piece, ENOSPC);
  EXPECT_EQ(store->statistics().warm, 0u);
  EXPECT_EQ(store->take_prepare_work(kPiece), piece);
}

TEST_F(PreparedPages, AGrantThatMissedMemoryGetsWhatTheyHad) {
  create_with_prepared();
  prepare();
  const Reservation short_of_it = store->begin_grant(session_, 20 * kMiB);
  EXPECT_TRUE(short_of_it.punch.empty()) << "by what the file system said there was enough";
  store->abort_grant(short_of_it, ENOMEM);
  const Reservation again = store->begin_grant(session_, 20 * kMiB, Store::Need::kPressing);
  EXPECT_EQ(store->arena().prepare(again.punch, again.reserve), 0);
  store->finish_grant(again);
  EXPECT_EQ(resident(), before_ + 20 * kMiB);
}

// The worker's order of things, in one thread.
TEST_F(PreparedPages, AreTheWorkersLastConcernAndNoneWhereAGrantHasThemPunched) {
  create_with_prepared();
  EventLoop loop;
  PageJobs jobs(loop, store->arena());
  std::vector<std::string> done;
  const auto note = [&](const char* what) {
    return [&done, what](int error) { done.push_back(what + std::to_string(error)); };
  };
  jobs.prepare({8 * kMiB, kMiB}, note("kept "));
  jobs.prepare({16 * kMiB, kMiB}, note("punched "));
  jobs.punch({{32 * kMiB, kMiB}}, [&] { done.emplace_back("hole"); });
  jobs.reserve({{16 * kMiB, kMiB}}, {{48 * kMiB, kMiB}}, note("grant "));
  while (!jobs.empty()) jobs.work();
  loop.post([&] { loop.stop(); });
  loop.run();
  const std::vector<std::string> expected{"punched " + std::to_string(ECANCELED), "grant 0", "hole", "kept 0"};
  EXPECT_EQ(done, expected);
  EXPECT_EQ(resident(), before_ + 2 * kMiB);
}

}  // namespace
}  // namespace tensorbroker::broker
