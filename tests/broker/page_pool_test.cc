// Ranges, pages and blocks against models that keep one flag for every page.

#include "broker/page_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "broker/block_map.h"
#include "proto/limits.h"

namespace tensorbroker::broker {
namespace {

class SeededTest : public testing::Test {
 protected:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

 private:
  unsigned seed_ = std::random_device{}();
  testing::ScopedTrace trace_{__FILE__, __LINE__, "seed " + std::to_string(seed_)};
  std::mt19937_64 random_{seed_};
};

class RangeSetTest : public SeededTest {};
class PagePoolTest : public SeededTest {};
class BlockMapTest : public SeededTest {};

TEST_F(RangeSetTest, RandomInsertsAndErases) {
  constexpr std::uint64_t kBytes = 300;
  RangeSet set;
  std::vector<bool> model(kBytes);
  for (int step = 0; step < 5000; ++step) {
    const Range range{below(kBytes), 0};
    const Range piece{range.offset, below(std::min<std::uint64_t>(40, kBytes - range.offset))};
    const auto begin = model.begin() + static_cast<std::ptrdiff_t>(piece.offset);
    const auto end = begin + static_cast<std::ptrdiff_t>(piece.bytes);
    if (below(2) == 0) {
      set.insert(piece);
      std::fill(begin, end, true);
    } else {
      std::uint64_t taken = 0;
      for (const Range& got : set.erase(piece)) {
        ASSERT_TRUE(piece.contains(got));
        taken += got.bytes;
      }
      ASSERT_EQ(taken, static_cast<std::uint64_t>(std::count(begin, end, true)));
      std::fill(begin, end, false);
    }
    std::vector<bool> now(kBytes);
    std::uint64_t end_before = 0;
    std::uint64_t longest = 0;
    for (const Range& got : set.ranges()) {
      ASSERT_TRUE(end_before == 0 || got.offset > end_before) << "neighbours are joined";
      std::fill_n(now.begin() + static_cast<std::ptrdiff_t>(got.offset), got.bytes, true);
      end_before = got.end();
      longest = std::max(longest, got.bytes);
    }
    ASSERT_EQ(now, model);
    ASSERT_EQ(set.bytes(), static_cast<std::uint64_t>(std::count(model.begin(), model.end(), true)));
    const std::uint64_t wanted = below(40) + 1;
    const auto fit = set.best_fit(wanted);
    ASSERT_EQ(fit.has_value(), longest >= wanted);
    for (const Range& got : set.ranges()) {
      if (fit && got.bytes >= wanted) {
        ASSERT_LE(fit->bytes, got.bytes);
      }
    }
  }
}

enum class Page { kHeld, kCold, kWarm, kUnknown };

// Every page is in exactly one state, and no page that is held is ever handed out.
TEST_F(PagePoolTest, RandomGrantsAgainstAFlagForEachPage) {
  constexpr std::uint64_t kPages = 200;
  PagePool pool;
  pool.give({0, kPages * kPageSize}, Warmth::kUnknown);
  std::vector<Page> model(kPages, Page::kUnknown);
  std::vector<Range> held;
  const auto each = [&](const Range& range, auto&& visit) {
    for (std::uint64_t p = range.offset / kPageSize; p < range.end() / kPageSize; ++p) visit(model[p]);
  };
  for (int step = 0; step < 5000; ++step) {
    switch (below(6)) {
      case 0:
      case 1: {
        const std::uint64_t bytes = (below(20) + 1) * kPageSize;
        const auto take = pool.take(bytes);
        if (!take) break;
        ASSERT_EQ(take->range.bytes, bytes);
        std::map<Page, std::uint64_t> count;
        each(take->range, [&](Page& page) {
          ASSERT_NE(page, Page::kHeld);
          ++count[page];
        });
        std::uint64_t punch = 0;
        std::uint64_t reserve = 0;
        for (const Range& range : take->punch) punch += range.bytes / kPageSize;
        for (const Range& range : take->reserve) {
          reserve += range.bytes / kPageSize;
          each(range, [](Page& page) { ASSERT_NE(page, Page::kWarm); });
        }
        ASSERT_EQ(punch, count[Page::kUnknown]);
        ASSERT_EQ(reserve, count[Page::kUnknown] + count[Page::kCold]);
        if (below(3) == 0) {
          pool.untake(*take);
          break;
        }
        each(take->range, [](Page& page) { page = Page::kHeld; });
        held.push_back(take->range);
        break;
      }
      case 2: {
        if (held.empty()) break;
        std::swap(held[below(held.size())], held.back());
        const bool warm = below(2) == 0;
        pool.give(held.back(), warm ? Warmth::kWarm : Warmth::kUnknown);
        each(held.back(), [&](Page& page) { page = warm ? Page::kWarm : Page::kUnknown; });
        held.pop_back();
        break;
      }
      case 3: {
        const std::uint64_t bytes = below(30) * kPageSize;
        const std::uint64_t warm = pool.warm_bytes();
        std::uint64_t trimmed = 0;
        for (const Range& range : pool.trim(bytes)) {
          trimmed += range.bytes;
          each(range, [](Page& page) {
            ASSERT_EQ(page, Page::kWarm);
            page = Page::kCold;
          });
          pool.give(range, Warmth::kCold);
        }
        ASSERT_EQ(trimmed, std::min(warm, bytes));
        break;
      }
      case 4: {
        const std::uint64_t bytes = (below(20) + 1) * kPageSize;
        const Range cold = pool.take_cold(bytes);
        ASSERT_LE(cold.bytes, bytes);
        each(cold, [](Page& page) {
          ASSERT_EQ(page, Page::kCold);
          page = Page::kWarm;
        });
        if (!cold.empty()) pool.give(cold, Warmth::kWarm);
        break;
      }
      default:
        for (const Range& range : pool.take_punch_work(20 * kPageSize, 10 * kPageSize)) {
          each(range, [](Page& page) {
            ASSERT_TRUE(page == Page::kWarm || page == Page::kUnknown);
            page = Page::kCold;
          });
          pool.give(range, Warmth::kCold);
        }
    }
    const auto pages = [&](Page state) {
      return static_cast<std::uint64_t>(std::count(model.begin(), model.end(), state));
    };
    ASSERT_EQ(pool.warm_bytes(), pages(Page::kWarm) * kPageSize) << step;
    ASSERT_EQ(pool.unknown_bytes(), pages(Page::kUnknown) * kPageSize) << step;
    ASSERT_EQ(pool.free_bytes(), (kPages - pages(Page::kHeld)) * kPageSize) << step;
  }
}

TEST_F(BlockMapTest, RandomBlocksAgainstAnOwnerForEachUnit) {
  constexpr std::uint64_t kUnit = 64;
  constexpr std::uint64_t kPages = 12;
  constexpr std::uint64_t kUnitsInPage = kPageSize / kUnit;
  BlockMap map;
  std::vector<EntryId> model(kPages * kUnitsInPage, kNoEntry);
  std::map<EntryId, Range> blocks;
  const auto page_covered = [&](std::uint64_t page) {
    const auto begin = model.begin() + static_cast<std::ptrdiff_t>(page * kUnitsInPage);
    return std::any_of(begin, begin + kUnitsInPage, [](EntryId id) { return id != kNoEntry; });
  };
  for (EntryId next = 1; next < 5000; ++next) {
    const std::uint64_t unit = below(model.size());
    const std::uint64_t units = below(std::min<std::uint64_t>(below(2) == 0 ? 4 : 150, model.size() - unit)) + 1;
    const auto begin = model.begin() + static_cast<std::ptrdiff_t>(unit);
    const auto end = begin + static_cast<std::ptrdiff_t>(units);
    const bool clash = std::any_of(begin, end, [](EntryId id) { return id != kNoEntry; });
    const Range block{unit * kUnit, units * kUnit};
    ASSERT_EQ(map.overlapping(block) != kNoEntry, clash);
    if (!clash && unit + units <= model.size()) {
      map.insert(block, next);
      blocks[next] = block;
      std::fill(begin, end, next);
    }
    if (!blocks.empty() && below(3) > 0) {
      const auto victim = std::next(blocks.begin(), static_cast<std::ptrdiff_t>(below(blocks.size())));
      map.erase(victim->second);
      const Range own = map.pages_of_its_own(victim->second);
      std::replace(model.begin(), model.end(), victim->first, kNoEntry);
      for (std::uint64_t page = victim->second.offset / kPageSize; page * kPageSize < victim->second.end(); ++page) {
        ASSERT_EQ(own.contains({page * kPageSize, kPageSize}), !page_covered(page));
      }
      blocks.erase(victim);
    }
    std::uint64_t covered = 0;
    for (const Range& range : map.covered_pages({0, kPages * kPageSize})) covered += range.bytes / kPageSize;
    std::uint64_t expected = 0;
    for (std::uint64_t page = 0; page < kPages; ++page) expected += page_covered(page) ? 1 : 0;
    ASSERT_EQ(covered, expected);
  }
}

}  // namespace
}  // namespace tensorbroker::broker
