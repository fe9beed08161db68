// The lease table by itself, over a session's words in this process's memory.

#include "client/lease_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr std::uint32_t kCells = 512;

class Leases : public testing::Test {
 protected:
  Leases() { control_->leases_committed = 64; }

  Limit soon() const { return Limit::in(std::chrono::seconds(5)); }

  // Takes a cell and leases `entry` in it.
  std::uint32_t hold(EntryId entry) {
    auto taking = table_.take(soon());
    store_lease(taking->cell(), entry);
    taking->keep();
    return taking->index();
  }

  void give_up(std::uint32_t cell, EntryId entry) {
    table_.give_up(cell, entries_[entry], [this] { ++rings_; });
  }

  std::unique_ptr<SessionControl> control_ = std::make_unique<SessionControl>();
  std::vector<Word> cells_ = std::vector<Word>(kCells);
  std::vector<Entry> entries_ = std::vector<Entry>(16);
  std::vector<std::uint32_t> asked_;
  std::atomic<int> rings_ = 0;
  LeaseTable table_{control_.get(), cells_.data(), [this](std::uint32_t cells, const Limit&) {
                      asked_.push_back(cells);
                      if (cells <= kCells) control_->leases_committed = cells;
                    }};
};

TEST_F(Leases, ACellIsOnesOwnUntilItIsGivenUp) {
  const std::uint32_t first = hold(1);
  const std::uint32_t second = hold(2);
  EXPECT_NE(first, second);
  EXPECT_EQ(cells_[first], lease_of(1));
  EXPECT_EQ(table_.used(), 2u);
  give_up(first, 1);
  EXPECT_EQ(cells_[first], 0u);
  EXPECT_EQ(hold(3), first) << "a free cell is used again before a fresh one";
}

TEST_F(Leases, ACellThatIsNotKeptIsFreeAgain) {
  std::uint32_t index = 0;
  {
    auto taking = table_.take(soon());
    index = taking->index();
  }
  EXPECT_EQ(table_.used(), 0u);
  EXPECT_EQ(hold(1), index);
}

TEST_F(Leases, OnlyTheLastHolderOfSomethingRetiredRings) {
  entries_[1].generation = live(10 << 1);
  entries_[2].generation = retired(11 << 1);
  const std::uint32_t of_live = hold(1);
  const std::uint32_t of_retired = hold(2);
  give_up(of_live, 1);
  EXPECT_EQ(rings_, 0);
  give_up(of_retired, 2);
  EXPECT_EQ(rings_, 1);
}

TEST_F(Leases, TheHighWaterMarkIsAboveEveryLease) {
  for (EntryId i = 0; i < 40; ++i) {
    const std::uint32_t cell = hold(i % 16);
    EXPECT_GT(control_->lease_high_water, cell);
  }
  EXPECT_EQ(control_->lease_high_water, 40u) << "and no higher: each pass reads all below it";
}

TEST_F(Leases, GrowsWhenItIsFullAndNeverUsesWhatIsNotCommitted) {
  std::set<std::uint32_t> held;
  for (int i = 0; i < 300; ++i) {
    const std::uint32_t cell = hold(0);
    EXPECT_TRUE(held.insert(cell).second);
    EXPECT_LT(cell, control_->leases_committed);
  }
  EXPECT_EQ(asked_, (std::vector<std::uint32_t>{128, 256, 512}));
}

TEST_F(Leases, WhereNothingIsFreeTheHotPathDoesNotWait) {
  for (int i = 0; i < 64; ++i) hold(0);
  EXPECT_FALSE(table_.try_take());
  EXPECT_TRUE(asked_.empty());
}

TEST_F(Leases, FailsWhereTheBrokerGivesNoMore) {
  for (std::uint32_t i = 0; i < kCells; ++i) hold(0);
  EXPECT_THROW(table_.take(Limit::in(std::chrono::milliseconds(20))), OutOfMemoryError);
}

TEST_F(Leases, IsClosedOnlyWhileUnused) {
  const std::uint32_t cell = hold(1);
  EXPECT_FALSE(table_.close_if_unused());
  give_up(cell, 1);
  EXPECT_TRUE(table_.close_if_unused());
  EXPECT_FALSE(table_.take(soon()));
  table_.reopen();
  EXPECT_TRUE(table_.take(soon()));
}

TEST_F(Leases, AnHeirGetsEachLeaseAndTheMark) {
  for (EntryId i = 0; i < 10; ++i) hold(i);
  give_up(3, 3);
  auto heir = std::make_unique<SessionControl>();
  std::vector<Word> heir_cells(kCells);
  heir->leases_committed = 64;
  table_.lock_all();
  EXPECT_TRUE(table_.copy_to(*heir, heir_cells.data()));
  table_.unlock_all();
  EXPECT_EQ(heir->lease_high_water, 10u);
  for (std::uint32_t i = 0; i < kCells; ++i) EXPECT_EQ(heir_cells[i], cells_[i]) << i;
}

TEST_F(Leases, AnHeirWithFewerCellsGetsNone) {
  for (EntryId i = 0; i < 10; ++i) hold(i);
  auto heir = std::make_unique<SessionControl>();
  std::vector<Word> heir_cells(kCells);
  heir->leases_committed = 9;
  table_.lock_all();
  EXPECT_FALSE(table_.copy_to(*heir, heir_cells.data()));
  table_.unlock_all();
  EXPECT_EQ(heir->lease_high_water, 0u);
  EXPECT_EQ(heir_cells[0], 0u);
}

// Threads take and give up at random while another one holds fork off again and again: under lock_all() the cells do
// not change, and no cell is ever anybody else's.
TEST_F(Leases, NothingIsTakenOrGivenUpWhileForkIsHeldOff) {
  constexpr int kThreads = 4;
  control_->leases_committed = kCells;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(seed + static_cast<unsigned>(t));
      const auto entry = static_cast<EntryId>(t);
      std::vector<std::uint32_t> held;
      while (!done) {
        if (held.size() < 50 && random() % 2 == 0) {
          held.push_back(hold(entry));
        } else if (!held.empty()) {
          if (cells_[held.back()] != lease_of(entry)) ++wrong;
          give_up(held.back(), entry);
          held.pop_back();
        }
      }
      for (const std::uint32_t cell : held) give_up(cell, entry);
    });
  }
  for (int i = 0; i < 200; ++i) {
    table_.lock_all();
    std::vector<std::uint64_t> before;
    for (const Word& cell : cells_) before.push_back(cell);
    std::this_thread::yield();
    for (std::uint32_t cell = 0; cell < kCells; ++cell) wrong += cells_[cell] != before[cell] ? 1 : 0;
    table_.unlock_all();
    std::this_thread::yield();
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(table_.used(), 0u);
  for (const Word& cell : cells_) EXPECT_EQ(cell, 0u);
}

}  // namespace
}  // namespace tensorbroker
