// Pages prepared ahead of demand in the broker as a whole, by the simulation's clock: when they come and go, and that
// nothing is left waiting then.

#include <gtest/gtest.h>

#include "tests/simulation/loop.h"
#include "tests/simulation/world.h"

namespace tensorbroker::simulation {
namespace {

using broker::Preparation;

class PagesAheadTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kMiB = 1 << 20;
  static constexpr std::uint64_t kPrepared = 4 * kMiB;

  PagesAheadTest() {
    kernel_.shm_bytes = 64 * kMiB;
    broker::Options options;
    options.capacity = 16 * kMiB;
    options.prepared = kPrepared;
    const broker::Place place{
        .name = {.uid = kernel_.uid, .instance = "ahead"}, .runtime_dir = "/nowhere", .socket = {}, .log = {}};
    auto opened = open_store(options, place, {});
    store_.emplace(std::move(opened.store));
    memory_.emplace(loop_, *store_, [this] { memory_->look(); }, [this] { return store_->arena().file_system_free(); });
    session_ = store_->add_session(kernel_.uid, 42);
    memory_->look();
  }

  // Time passes, and everything that is due is done.
  void pass(std::chrono::milliseconds time) {
    for (; time.count() > 0; time -= std::chrono::milliseconds(50)) {
      kernel_.now_ns += 50'000'000;
      do_what_is_due();
    }
  }
  void do_what_is_due() {
    while (LoopWork::get().run_one(random_) || (!page_jobs()->empty() && (page_jobs()->work(), true))) {
    }
  }
  bool grant(std::uint64_t bytes) {
    std::optional<bool> is_granted;
    memory_->grant(session_, bytes,
                   [&](const broker::Granted* granted, std::exception_ptr) { is_granted = granted != nullptr; });
    memory_->look();
    do_what_is_due();
    return is_granted.value();
  }

  Kernel kernel_;
  Random random_{1};
  broker::EventLoop loop_;
  std::optional<broker::Store> store_;
  std::optional<broker::MemoryWork> memory_;
  std::uint64_t session_ = 0;
};

TEST_F(PagesAheadTest, AreThereSoonAfterTheFirstClientAndGoneAfterATimeWithoutAnyTimerLeft) {
  do_what_is_due();
  EXPECT_EQ(store_->warm_bytes(), 0u) << "its first grants have the machine for themselves";
  pass(2 * Preparation::kQuiet);
  EXPECT_EQ(store_->warm_bytes(), kPrepared);
  pass(Preparation::kKept);
  EXPECT_EQ(store_->warm_bytes(), 0u);
  EXPECT_FALSE(LoopWork::get().has_timers()) << "a broker without work sleeps";
}

TEST_F(PagesAheadTest, ServeAGrantAtOnceAndAreReplaced) {
  pass(2 * Preparation::kQuiet);
  bool is_granted = false;
  memory_->grant(session_, kPrepared,
                 [&](const broker::Granted* granted, std::exception_ptr) { is_granted = granted != nullptr; });
  EXPECT_TRUE(is_granted);
  memory_->look();
  pass(2 * Preparation::kQuiet);
  EXPECT_EQ(store_->warm_bytes(), kPrepared);
}

TEST_F(PagesAheadTest, GoWhenTheFileSystemRunsLow) {
  pass(2 * Preparation::kQuiet);
  kernel_.shm_bytes -= kernel_.shm_free() - kPrepared / 2;
  pass(Preparation::kLook);
  EXPECT_EQ(store_->warm_bytes(), 0u);
}

TEST_F(PagesAheadTest, WhatIsGivenBackMuchLaterGoesAfterATimeToo) {
  EXPECT_TRUE(grant(2 * kMiB));
  pass(3 * Preparation::kKept);
  EXPECT_FALSE(LoopWork::get().has_timers());
  store_->remove_session(session_);
  memory_->look();
  EXPECT_EQ(store_->warm_bytes(), 2 * kMiB);
  pass(Preparation::kKept + Preparation::kLook);
  EXPECT_EQ(store_->warm_bytes(), 0u);
  EXPECT_FALSE(LoopWork::get().has_timers());
}

// What the machine has less than it says: a limit of a memory cgroup, say.
TEST_F(PagesAheadTest, GoBeforeAGrantIsRefusedThatTheMachineHadNoMemoryFor) {
  pass(2 * Preparation::kQuiet);
  kernel_.arm(Fault::kNoSpace, 0);
  EXPECT_TRUE(grant(2 * kPrepared));
  EXPECT_EQ(store_->warm_bytes(), 0u);
}

}  // namespace
}  // namespace tensorbroker::simulation
