// get and release against put, replace, delete, reclaim, rebuild and reuse: the product's templates under every
// interleaving of small programs. The violations that it looks for are those that weaker variants of the protocol show.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/name_index.h"
#include "broker/publication.h"
#include "broker/reclaim.h"
#include "proto/glance.h"
#include "proto/lookup.h"
#include "tests/model/explorer.h"

namespace tensorbroker {
namespace {

#include "tests/model/world.inl"

std::string text(const std::vector<Op>& ops) {
  static const char* const kNames[] = {"put a",   "put b",          "delete a",
                                       "rebuild", "half a rebuild", "overwrite old index"};
  std::string out;
  for (const Op op : ops) out += std::string(out.empty() ? "" : ", ") + kNames[static_cast<int>(op)];
  return out;
}

// Every program of `length` operations.
std::vector<std::vector<Op>> programs(std::size_t length) {
  std::vector<std::vector<Op>> all = {{}};
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<std::vector<Op>> longer;
    for (const auto& ops : all) {
      for (const Op op :
           {Op::kPutA, Op::kPutB, Op::kDeleteA, Op::kRebuild, Op::kHalfARebuild, Op::kOverwriteOldIndex}) {
        longer.push_back(ops);
        longer.back().push_back(op);
      }
    }
    all = std::move(longer);
  }
  return all;
}

void expect_no_violation(const std::vector<Op>& ops, const Bounds& bounds) {
  const model::Exploration result = explore_world(ops, bounds);
  EXPECT_TRUE(result.complete) << text(ops) << ": " << result.schedules << " schedules were not all";
  for (const std::string& violation : result.violations) ADD_FAILURE() << text(ops) << ": " << violation;
}

TEST(LookupAgainstReclaim, OneReaderEveryProgramOfTwoOperations) {
  for (const auto& ops : programs(2)) expect_no_violation(ops, {.readers = 1, .preemptions = 3});
}

TEST(LookupAgainstReclaim, OneReaderEveryProgramOfThreeOperations) {
  for (const auto& ops : programs(3)) expect_no_violation(ops, {.readers = 1, .preemptions = 2});
}

TEST(LookupAgainstReclaim, TwoReaders) {
  for (const auto& ops : {std::vector{Op::kPutA}, std::vector{Op::kDeleteA}, std::vector{Op::kPutA, Op::kPutB}}) {
    expect_no_violation(ops, {.readers = 2, .preemptions = 2});
  }
}

// Replace, reclaim and reuse the entry under a name that the reader looks for again: what a check of the generation
// alone would let pass.
TEST(LookupAgainstReclaim, AnEntryThatIsReusedDuringALookup) {
  expect_no_violation({Op::kPutA, Op::kPutB, Op::kPutA, Op::kPutB}, {.readers = 1, .preemptions = 3});
}

// A reader that still walks the old index while it is rebuilt and its memory used for something else.
TEST(LookupAgainstReclaim, AnIndexThatIsRebuiltUnderAReader) {
  expect_no_violation({Op::kRebuild, Op::kOverwriteOldIndex, Op::kRebuild, Op::kPutA},
                      {.readers = 1, .preemptions = 3});
}

// Names that change when the rebuild has passed their cells, and when it has not.
TEST(LookupAgainstReclaim, NamesThatChangeDuringARebuild) {
  for (const auto& ops :
       {std::vector{Op::kHalfARebuild, Op::kPutA, Op::kPutB, Op::kRebuild, Op::kPutA},
        std::vector{Op::kHalfARebuild, Op::kDeleteA, Op::kPutA, Op::kRebuild, Op::kDeleteA},
        std::vector{Op::kPutB, Op::kDeleteA, Op::kHalfARebuild, Op::kPutB, Op::kPutA, Op::kRebuild, Op::kPutB}}) {
    expect_no_violation(ops, {.readers = 1, .preemptions = 2});
  }
}

TEST(LookupAgainstReclaim, ByHandle) {
  for (const auto& ops : programs(2)) expect_no_violation(ops, {.preemptions = 2, .by_handle = true});
}

// What a parent gives up right after the fork is its child's still.
TEST(LookupAgainstReclaim, AForkWhileSomethingIsHeld) {
  for (const auto& ops : programs(2)) {
    expect_no_violation(ops, {.preemptions = 3, .forks = true});
    expect_no_violation(ops, {.preemptions = 2, .forks = true, .memory = model::Memory::kStoreBuffers});
  }
}

// What a listing passes by without a lease, while its entry serves one name and another.
TEST(LookupAgainstReclaim, AListing) {
  for (const auto& ops : programs(2)) {
    expect_no_violation(ops, {.preemptions = 2, .lists = true});
    expect_no_violation(ops, {.preemptions = 2, .lists = true, .memory = model::Memory::kStoreBuffers});
  }
  expect_no_violation({Op::kPutA, Op::kPutB, Op::kPutA, Op::kPutB}, {.preemptions = 2, .lists = true});
}

// A name that comes to another cell, or to one where another name was; that is moved, or comes while others are.
TEST(LookupAgainstReclaim, AListingOfANameThatComesBack) {
  for (const auto& ops :
       {std::vector{Op::kDeleteA, Op::kPutB, Op::kPutA}, std::vector{Op::kPutB, Op::kDeleteA, Op::kPutA},
        std::vector{Op::kDeleteA, Op::kHalfARebuild, Op::kPutA, Op::kRebuild},
        std::vector{Op::kRebuild, Op::kOverwriteOldIndex, Op::kDeleteA, Op::kPutB, Op::kPutA}}) {
    expect_no_violation(ops, {.preemptions = 2, .lists = true});
    expect_no_violation(ops, {.preemptions = 2, .lists = true, .memory = model::Memory::kStoreBuffers});
  }
}

// On a machine that delays stores, as all do, until a fence or a seq_cst store.
TEST(LookupAgainstReclaim, WithStoreBuffers) {
  for (const auto& ops : programs(2)) {
    expect_no_violation(ops, {.preemptions = 2, .memory = model::Memory::kStoreBuffers});
    expect_no_violation(ops, {.preemptions = 2, .by_handle = true, .memory = model::Memory::kStoreBuffers});
  }
}

// Readers that look while the broker is killed after any of its stores, and its successor adopts.
TEST(LookupAgainstReclaim, ABrokerKilledAfterEveryStore) {
  int kills = 0;
  for (const auto& ops :
       {std::vector{Op::kPutA}, std::vector{Op::kDeleteA, Op::kPutB}, std::vector{Op::kPutA, Op::kPutB},
        std::vector{Op::kRebuild, Op::kPutA}, std::vector{Op::kHalfARebuild, Op::kPutA, Op::kRebuild, Op::kDeleteA},
        std::vector{Op::kDeleteA, Op::kPutB, Op::kPutA}}) {
    bool was_killed = true;
    for (int stores = 0; was_killed; ++stores) {
      was_killed = false;
      SCOPED_TRACE("killed after " + std::to_string(stores) + " stores");
      expect_no_violation(ops, {.preemptions = 1, .kill_after = stores, .was_killed = &was_killed});
      expect_no_violation(ops, {.preemptions = 1, .lists = true, .kill_after = stores});
      kills += was_killed ? 1 : 0;
    }
  }
  EXPECT_GT(kills, 60);
}

}  // namespace
}  // namespace tensorbroker
