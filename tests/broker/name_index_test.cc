// The name index with one writer over words in plain memory: what one new name costs while the index is rebuilt, and
// that what changes meanwhile is there when the rebuilt one is in force.

#include "broker/name_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "tensorbroker/error.h"

namespace tensorbroker::broker {
namespace {

// A word that counts its loads and stores, over all words.
class CountedWord {
 public:
  static inline std::uint64_t accesses = 0;

  std::uint64_t load(std::memory_order = std::memory_order_seq_cst) const {
    ++accesses;
    return value_;
  }
  void store(std::uint64_t value, std::memory_order = std::memory_order_seq_cst) {
    ++accesses;
    value_ = value;
  }

 private:
  std::uint64_t value_ = 0;
};

using Index = BasicNameIndex<CountedWord>;

constexpr std::uint64_t kLimit = std::uint64_t{1} << 19;

// Numbers as names. Each is published as the entry of that id, and by turns as the one kOther further on.
class NameIndexTest : public testing::Test {
 protected:
  static constexpr EntryId kOther = kLimit / 2;

  NameIndexTest() {
    constexpr auto kLog2Cells = static_cast<std::uint8_t>(std::countr_zero(Index::kLeastCells));
    root_.index.store(IndexRoot{.epoch = 1, .region = 0, .log2_cells = kLog2Cells}.pack());
    for (EntryId id = 0; id < kLimit; ++id) entries_[id].name_hash.store(hash(id % kOther));
  }

  // Puts the name, or replaces it, as the store does.
  void put(EntryId name) {
    auto place = find(name);
    if (place.entry == kNoEntry && make_room()) place = find(name);
    const EntryId entry = place.entry == name ? name + kOther : name;
    change(place.cell, make_cell(hash(name), entry));
    names_[name] = entry;
  }
  void remove(EntryId name) {
    change(find(name).cell, kTombstone);
    names_.erase(name);
  }
  // What the index says is what was put, as its writer sees it and as a successor does.
  void check() const {
    EXPECT_EQ(index_.names(), names_.size());
    const auto& words = beginnings_.at(IndexRoot::unpack(root_.index.load()).region);
    for (const auto& [name, entry] : names_) {
      const Index::Place place = find(name);
      ASSERT_EQ(place.entry, entry) << "after rebuild " << rebuilds_;
      ASSERT_EQ(words[place.cell].load(), beginnings(entry)) << "after rebuild " << rebuilds_;
    }
    Index successor(view_);
    std::size_t cells = 0;
    successor.count([&](std::uint64_t, std::uint64_t) { ++cells; });
    EXPECT_EQ(cells, names_.size());
    EXPECT_EQ(successor.filled(), index_.filled());
  }

  BasicCatalogRoot<CountedWord> root_;
  std::vector<BasicEntry<CountedWord>> entries_{kLimit};
  std::array<std::vector<CountedWord>, 2> regions_{std::vector<CountedWord>(kLimit), std::vector<CountedWord>(kLimit)};
  std::array<std::vector<CountedWord>, 2> beginnings_{std::vector<CountedWord>(kLimit),
                                                      std::vector<CountedWord>(kLimit)};
  BasicCatalogView<CountedWord> view_{&root_,
                                      entries_.data(),
                                      {regions_[0].data(), regions_[1].data()},
                                      kLimit,
                                      {beginnings_[0].data(), beginnings_[1].data()}};
  Index index_{view_};
  std::map<EntryId, EntryId> names_;
  std::uint64_t memory_ = kLimit;  // cells of each region that can be had
  std::uint64_t most_reserved_ = 0;
  std::uint64_t most_accesses_ = 0;
  int rebuilds_ = 0;

 private:
  static std::uint64_t beginnings(EntryId entry) { return 1000 + entry % kOther; }
  static std::uint64_t hash(std::uint64_t name) { return (name + 1) * 0x9e3779b97f4a7c15; }
  Index::Place find(EntryId name) const {
    return index_.find(hash(name), [name](EntryId id) { return id % kOther == name; });
  }
  bool make_room() try {
    const std::uint64_t before = CountedWord::accesses;
    const bool rebuilt = index_.make_room([this](unsigned region, std::uint64_t begin, std::uint64_t cells) {
      EXPECT_EQ(region, 1U - IndexRoot::unpack(root_.index.load()).region);
      if (begin + cells > memory_) throw OutOfMemoryError("no memory");
      most_reserved_ = std::max(most_reserved_, cells);
    });
    most_accesses_ = std::max(most_accesses_, CountedWord::accesses - before);
    rebuilds_ += rebuilt ? 1 : 0;
    if (rebuilt) check();
    return rebuilt;
  } catch (const OutOfMemoryError&) {
    if (!index_.has_room()) throw;
    return false;
  }
  void change(std::uint64_t cell, std::uint64_t after) {
    const std::uint64_t before = index_.load(cell);
    const std::uint8_t region = IndexRoot::unpack(root_.index.load()).region;
    if (cell_is_entry(after)) beginnings_.at(region)[cell].store(beginnings(cell_entry(after)));
    regions_.at(region)[cell].store(after);
    index_.changed(cell, before, after);
  }
};

TEST_F(NameIndexTest, NoNewNameCostsMoreThanASliceOfARebuild) {
  for (EntryId name = 0; name < 100'000; ++name) {
    put(name);
    ASSERT_TRUE(index_.has_room()) << "the rest of a rebuild had to be done at once";
  }
  EXPECT_GE(rebuilds_, 3);
  EXPECT_LT(most_accesses_, 1000u);
  EXPECT_LE(most_reserved_, 512u);
  check();
}

TEST_F(NameIndexTest, WhatChangesDuringARebuildIsInTheNewIndex) {
  std::mt19937 random(7);
  for (std::uint64_t i = 0; i < 400'000; ++i) {
    const auto name = static_cast<EntryId>(i / 10 + random() % 6000);
    if (names_.contains(name) && random() % 3 == 0) {
      remove(name);
    } else {
      put(name);
    }
    ASSERT_TRUE(index_.has_room());
  }
  EXPECT_GE(rebuilds_, 2);
  check();
}

// Names whose cells were tombstones fill nothing in the index in force, but may in the new one.
TEST_F(NameIndexTest, NamesThatComeAndGoDuringARebuildDoNotFillTheNewIndex) {
  constexpr EntryId kLiving = 100;
  for (EntryId next = 0; next < 200'000; ++next) {
    put(next);
    if (next >= kLiving) remove(next - kLiving);
    ASSERT_TRUE(index_.has_room());
  }
  EXPECT_GE(rebuilds_, 20);
  EXPECT_EQ(index_.cells(), Index::kLeastCells);
  check();
}

// An index of many tombstones and few names.
class SparseNameIndexTest : public NameIndexTest {
 protected:
  SparseNameIndexTest() {
    for (; next_ < 50'000; ++next_) put(next_);
    for (EntryId name = 100; name < next_; ++name) remove(name);
    rebuilds_ = 0;
  }
  void pass_by() {
    put(next_);
    remove(next_++);
  }

  EntryId next_ = 0;
};

TEST_F(SparseNameIndexTest, BecomesSmaller) {
  const std::uint64_t cells = index_.cells();
  while (rebuilds_ == 0 && next_ < 250'000) {
    pass_by();
    ASSERT_TRUE(index_.has_room());
  }
  EXPECT_EQ(index_.cells(), cells / 4);
  check();
}

// The rebuild begins with few names, and waits for memory while many are put where tombstones were.
TEST_F(SparseNameIndexTest, FillsWhileItsRebuildWaits) {
  const std::uint64_t cells = index_.cells();
  memory_ = 0;
  while (8 * index_.filled() <= 5 * cells) pass_by();
  for (EntryId name = 100; name < 80'000; ++name) put(name);
  memory_ = kLimit;
  for (EntryId name = 80'000; rebuilds_ == 0 && name < 140'000; ++name) put(name);
  EXPECT_EQ(rebuilds_, 1);
  EXPECT_GE(index_.cells(), cells);
  check();
}

// Want of memory is nobody's concern while there is room; then new names are refused, until there is memory.
TEST_F(NameIndexTest, WithoutMemoryForARebuildNamesAreTakenWhileThereIsRoom) {
  memory_ = 4096;
  EntryId name = 0;
  const auto put_all = [&] {
    for (; name < 5000; ++name) put(name);
  };
  EXPECT_THROW(put_all(), OutOfMemoryError);
  EXPECT_EQ(name, 3 * Index::kLeastCells / 4);
  EXPECT_EQ(rebuilds_, 0);
  check();
  memory_ = kLimit;
  put_all();
  EXPECT_EQ(rebuilds_, 1);
  check();
}

}  // namespace
}  // namespace tensorbroker::broker
