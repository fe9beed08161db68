// Dims, element counts, contiguity, and the check of geometries that come from outside.

#include "proto/geometry.h"

#include <gtest/gtest.h>
#include <tensorbroker/error.h>

#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tensorbroker {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();

template <class E, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "no such error";
}

TEST(Dims, KeepsItsValuesInlineAndOnTheHeap) {
  Dims dims;
  std::vector<std::int64_t> expected;
  for (std::int64_t i = 0; i < 64; ++i) {
    dims.push_back(i);
    expected.push_back(i);
    EXPECT_EQ(std::vector<std::int64_t>(dims.begin(), dims.end()), expected);
    Dims copy = dims;
    EXPECT_EQ(copy, dims);
    const Dims moved = std::move(copy);
    EXPECT_EQ(moved, dims);
    EXPECT_TRUE(copy.empty());  // NOLINT(bugprone-use-after-move): a moved-from Dims is documented by this test
  }
  EXPECT_THROW(dims.push_back(64), InvalidArgumentError);
  EXPECT_EQ(dims.size(), 64u);
}

TEST(Dims, AssignsBetweenAnyLengths) {
  for (const std::size_t from : {0u, 3u, 6u, 7u, 64u}) {
    for (const std::size_t to : {0u, 3u, 6u, 7u, 64u}) {
      const Dims source(from, 5);
      Dims target(to, 9);
      target = source;
      EXPECT_EQ(target, source);
      Dims again(to, 9);
      Dims consumed = source;
      again = std::move(consumed);
      EXPECT_EQ(again, source);
      again = *&again;
      EXPECT_EQ(again, source);
    }
  }
}

TEST(Dims, InsertsAndErasesAnywhere) {
  for (const std::size_t count : {1u, 5u, 6u, 7u, 63u}) {
    for (std::size_t at = 0; at <= count; at += count) {
      Dims dims(count, 1);
      dims.insert(at, 2);
      EXPECT_EQ(dims[at], 2);
      EXPECT_EQ(dims.size(), count + 1);
      dims.erase(at);
      EXPECT_EQ(dims, Dims(count, 1));
    }
  }
}

TEST(Dims, RefusesMoreThanTheLimit) {
  EXPECT_EQ(message_of<InvalidArgumentError>([] { Dims(65, 1); }),
            "a tensor has at most 64 dimensions, not 65: merge some of them with reshape");
  EXPECT_THROW(Dims(std::vector<std::int64_t>(70, 1)), InvalidArgumentError);
}

TEST(Dims, PrintsAsAPythonList) {
  EXPECT_EQ(Dims().to_string(), "[]");
  EXPECT_EQ((Dims{2, -3}).to_string(), "[2, -3]");
}

TEST(Numel, CountsAndRefusesInTorchsWords) {
  EXPECT_EQ(checked_numel(Dims{}), 1);
  EXPECT_EQ(checked_numel(Dims{2, 0, 3}), 0);
  EXPECT_EQ(checked_numel(Dims{2, 3, 4}), 24);
  EXPECT_EQ(message_of<RuntimeError>([] { checked_numel(Dims{-1, 2}); }),
            "Trying to create tensor with negative dimension -1: [-1, 2]");
  EXPECT_EQ(
      message_of<RuntimeError>([] { checked_numel(Dims{std::int64_t{1} << 40, std::int64_t{1} << 40}); }),
      "Storage size calculation overflowed with sizes=[1099511627776, 1099511627776]: a tensor has at most 2^63 - "
      "1 bytes");
  EXPECT_THROW(checked_numel(Dims{0, kMax, 2}), RuntimeError);
  EXPECT_THROW(checked_numel(Dims{0, kMin}), RuntimeError);
}

TEST(Numel, BytesOverflowLaterThanElementsDo) {
  EXPECT_EQ(checked_nbytes(Dims{2, 3}, 8), 48);
  EXPECT_EQ(checked_nbytes(Dims{}, 16), 16);
  EXPECT_EQ(checked_numel(Dims{kMax}), kMax);
  EXPECT_EQ(checked_nbytes(Dims{kMax}, 1), kMax);
  EXPECT_THROW(checked_nbytes(Dims{kMax}, 2), RuntimeError);
}

TEST(Strides, AreTorchsForEmptyTensorsToo) {
  EXPECT_EQ(contiguous_strides(Dims{}), Dims{});
  EXPECT_EQ(contiguous_strides(Dims{2, 3, 4}), (Dims{12, 4, 1}));
  EXPECT_EQ(contiguous_strides(Dims{2, 0, 3}), (Dims{3, 3, 1}));
  EXPECT_EQ(contiguous_strides(Dims{4, 1, 0, 5}), (Dims{5, 5, 5, 1}));
}

TEST(Contiguity, IgnoresWhatTakesNoStep) {
  EXPECT_TRUE(is_contiguous({}));
  EXPECT_TRUE(is_contiguous({{2, 3}, {3, 1}, 7}));
  EXPECT_TRUE(is_contiguous({{1, 3}, {99, 1}, 0}));
  EXPECT_TRUE(is_contiguous({{0, 3}, {7, 7}, 0}));
  EXPECT_FALSE(is_contiguous({{3, 2}, {1, 3}, 0}));
  EXPECT_FALSE(is_contiguous({{2, 3}, {6, 2}, 0}));
  EXPECT_FALSE(is_contiguous({{3}, {0}, 0}));
}

TEST(Contiguity, DenseInAnyOrderOfDimensions) {
  EXPECT_TRUE(is_non_overlapping_and_dense({{3, 2}, {1, 3}, 0}));
  EXPECT_TRUE(is_non_overlapping_and_dense({{2, 1, 3}, {1, 50, 2}, 0}));
  EXPECT_TRUE(is_non_overlapping_and_dense({{}, {}, 3}));
  EXPECT_FALSE(is_non_overlapping_and_dense({{2, 3}, {4, 1}, 0}));
  EXPECT_FALSE(is_non_overlapping_and_dense({{3}, {0}, 0}));
  EXPECT_FALSE(is_non_overlapping_and_dense({{3}, {-1}, 2}));
}

TEST(Contiguity, ATensorWithoutElementsIsDense) { EXPECT_TRUE(is_non_overlapping_and_dense({{0, 3}, {5, 7}, 0})); }

TEST(LiesWithin, TheLastByteCounts) {
  const Geometry geometry{{2, 3}, {3, 1}, 4};
  EXPECT_TRUE(lies_within(geometry, 4, 40));
  EXPECT_FALSE(lies_within(geometry, 4, 39));
  EXPECT_TRUE(lies_within({}, 8, 8));
  EXPECT_FALSE(lies_within({}, 8, 7));
  EXPECT_FALSE(lies_within({}, 8, 0));
}

TEST(LiesWithin, NegativeStridesReachBackwards) {
  EXPECT_TRUE(lies_within({{3}, {-1}, 2}, 1, 3));
  EXPECT_FALSE(lies_within({{3}, {-1}, 1}, 1, 100));
}

TEST(LiesWithin, RefusesWhatIsMalformed) {
  EXPECT_FALSE(lies_within({{2}, {}, 0}, 1, 100));
  EXPECT_FALSE(lies_within({{-1}, {1}, 0}, 1, 100));
  EXPECT_FALSE(lies_within({{2}, {1}, -1}, 1, 100));
  EXPECT_FALSE(lies_within({{0, -1}, {1, 1}, 0}, 1, 100));
}

TEST(LiesWithin, NothingOverflows) {
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  EXPECT_FALSE(lies_within({{2}, {kMax}, 1}, 1, kAll));
  EXPECT_FALSE(lies_within({{3}, {kMax}, 0}, 1, kAll));
  EXPECT_FALSE(lies_within({{2}, {kMin}, 0}, 1, kAll));
  EXPECT_FALSE(lies_within({{2, 2}, {kMax, kMax}, 0}, 1, kAll));
  EXPECT_FALSE(lies_within({{2, 2}, {kMin, kMin}, 0}, 1, kAll));
  EXPECT_FALSE(lies_within({{kMax, kMax}, {0, 0}, 0}, 1, kAll));
  EXPECT_FALSE(lies_within({{0, kMax, kMax}, {1, 1, 1}, 0}, 1, kAll));
  EXPECT_FALSE(lies_within({{2}, {1}, kMax}, 1, kAll));
  EXPECT_FALSE(lies_within({{}, {}, kMax}, 16, kAll));
  EXPECT_TRUE(lies_within({{kMax}, {0}, 0}, 1, 1));
}

TEST(LiesWithin, AgreesWithVisitingEveryElement) {
  const unsigned seed = 7;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  for (int round = 0; round < 2000; ++round) {
    Geometry geometry;
    geometry.storage_offset = pick(0, 12);
    std::set<std::int64_t> places = {geometry.storage_offset};
    for (std::int64_t d = pick(0, 3); d > 0; --d) {
      const std::int64_t size = pick(0, 3);
      const std::int64_t stride = pick(-4, 6);
      geometry.sizes.push_back(size);
      geometry.strides.push_back(stride);
      std::set<std::int64_t> next;
      for (const std::int64_t place : places) {
        for (std::int64_t i = 0; i < size; ++i) next.insert(place + i * stride);
      }
      places = next;
    }
    const std::int64_t elements = pick(0, 30);
    const bool inside = places.empty() || (*places.begin() >= 0 && *places.rbegin() < elements);
    EXPECT_EQ(lies_within(geometry, 4, static_cast<std::uint64_t>(elements) * 4 + 3), inside)
        << geometry.sizes.to_string() << geometry.strides.to_string() << geometry.storage_offset;
  }
}

TEST(LiesWithin, CheckNamesTheGeometryAndTheStorage) {
  EXPECT_EQ(message_of<InvalidArgumentError>([] { check_geometry({{2, 3}, {3, 1}, 1}, 4, 24); }),
            "sizes [2, 3], strides [3, 1] and storage offset 1 of 4-byte elements do not describe a tensor inside a "
            "storage of 24 bytes: sizes and offset must not be negative, and every element must lie in the storage");
  EXPECT_NO_THROW(check_geometry({{2, 3}, {3, 1}, 0}, 4, 24));
}

}  // namespace
}  // namespace tensorbroker
