// View operations and basic indexing, replayed against torch 2.13 (views_oracle.json, made by views_oracle.py).

#include "proto/views.h"

#include <gtest/gtest.h>
#include <tensorbroker/error.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "proto/geometry.h"
#include "proto/indexing.h"

namespace tensorbroker {
namespace {

using nlohmann::json;

Geometry to_geometry(const json& item) {
  return {Dims(item.at("sizes").get<std::vector<std::int64_t>>()),
          Dims(item.at("strides").get<std::vector<std::int64_t>>()), item.at("offset").get<std::int64_t>()};
}

std::optional<std::int64_t> to_bound(const json& item) {
  if (item.is_null()) return std::nullopt;
  return item.get<std::int64_t>();
}

Index to_index(const json& item) {
  if (item.is_null()) return NewAxis{};
  if (item.is_string()) return Ellipsis{};
  if (item.is_array()) return Slice{to_bound(item[0]), to_bound(item[1]), to_bound(item[2]).value_or(1)};
  return item.get<std::int64_t>();
}

Geometry apply(const Geometry& from, const std::string& op, const json& args) {
  if (op == "index") {
    std::vector<Index> indices;
    for (const json& item : args) indices.push_back(to_index(item));
    return index(from, indices);
  }
  if (op == "slice") return slice(from, args[0], to_bound(args[1]), to_bound(args[2]), args[3]);
  const auto numbers = args.get<std::vector<std::int64_t>>();
  if (op == "view") return view(from, numbers);
  if (op == "expand") return expand(from, numbers);
  if (op == "permute") return permute(from, numbers);
  if (op == "t") return t(from);
  if (op == "select") return select(from, numbers[0], numbers[1]);
  if (op == "narrow") return narrow(from, numbers[0], numbers[1], numbers[2]);
  if (op == "transpose") return transpose(from, numbers[0], numbers[1]);
  if (op == "unsqueeze") return unsqueeze(from, numbers[0]);
  if (op == "squeeze") return numbers.empty() ? squeeze(from) : squeeze(from, numbers[0]);
  throw std::logic_error("no such operation in this test: " + op);
}

// "IndexError: message", the class as Python has it.
std::string describe(const Error& error) {
  const char* name = error.code() == ErrorCode::kIndex     ? "IndexError"
                     : error.code() == ErrorCode::kRuntime ? "RuntimeError"
                                                           : "ValueError";
  return std::string(name) + ": " + error.what();
}

std::string describe(const Geometry& geometry) {
  return geometry.sizes.to_string() + " strides " + geometry.strides.to_string() + " offset " +
         std::to_string(geometry.storage_offset);
}

std::string outcome(const json& item) {
  try {
    return describe(apply(to_geometry(item), item.at("op"), item.at("args")));
  } catch (const Error& error) {
    return describe(error);
  }
}

TEST(Views, AsTorchForEveryRecordedOperation) {
  std::ifstream file(std::filesystem::path(__FILE__).parent_path() / "views_oracle.json");
  const json oracle = json::parse(file);
  SCOPED_TRACE("seed of the recording: " + std::to_string(oracle.at("seed").get<int>()));
  ASSERT_GE(oracle.at("cases").size(), 900u);
  for (const json& item : oracle.at("cases")) {
    std::string expected;
    if (item.contains("error")) {
      expected = item["error"]["class"].get<std::string>() + ": " + item["error"]["message"].get<std::string>();
    } else {
      expected = describe(to_geometry(item.at("result")));
    }
    EXPECT_EQ(outcome(item), expected) << item.at("op") << " " << item.at("args") << " of "
                                       << describe(to_geometry(item));
  }
}

TEST(Views, AViewNeverReachesBeyondItsBase) {
  std::ifstream file(std::filesystem::path(__FILE__).parent_path() / "views_oracle.json");
  const json oracle = json::parse(file);
  for (const json& item : oracle.at("cases")) {
    if (!item.contains("result") || item.at("op") == "expand") continue;
    const Geometry from = to_geometry(item);
    std::uint64_t storage = 0;
    while (!lies_within(from, 1, storage)) ++storage;
    EXPECT_TRUE(lies_within(apply(from, item.at("op"), item.at("args")), 1, storage)) << item;
  }
}

TEST(Views, TryViewSaysWhenElementsWouldHaveToMove) {
  const Geometry transposed = t(contiguous_geometry(Dims{2, 3}));
  EXPECT_FALSE(try_view(transposed, Dims{6}).has_value());
  EXPECT_EQ(try_view(transposed, Dims{3, 1, 2}), (Geometry{{3, 1, 2}, {1, 6, 3}, 0}));
  EXPECT_THROW(try_view(transposed, Dims{5}), RuntimeError);
}

TEST(Views, ASliceStepLongerThanTheDimensionLeavesOneElement) {
  const Geometry row = contiguous_geometry(Dims{2, 3});
  const Geometry cut = slice(row, 0, std::nullopt, std::nullopt, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(cut.sizes, (Dims{1, 3}));
  EXPECT_TRUE(lies_within(cut, 4, 24));
}

TEST(Views, ExtremeArgumentsAreErrorsNotOverflows) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  const Geometry base = contiguous_geometry(Dims{2, 3});
  for (const std::int64_t value : {kMax, kMin}) {
    EXPECT_THROW(select(base, 0, value), IndexError);
    EXPECT_THROW(select(base, value, 0), IndexError);
    EXPECT_THROW(narrow(base, 0, value, 1), IndexError);
    EXPECT_THROW(unsqueeze(base, value), IndexError);
    EXPECT_THROW(view(base, Dims{value, 2}), RuntimeError);
    EXPECT_THROW(index(base, std::vector<Index>{value}), IndexError);
  }
  EXPECT_THROW(narrow(base, 0, 1, kMax), RuntimeError);
  EXPECT_THROW(expand(contiguous_geometry(Dims{1}), Dims{kMax, kMax}), RuntimeError);
}

// Dimensions of one element and tensors of none pass check_geometry with any stride. Told by UBSan, not by a value.
TEST(Views, StridesThatNobodyStepsOverMayBeAnything) {
  for (const std::int64_t wild : {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    for (const Geometry& from : {Geometry{{1, 2, 1}, {wild, 1, wild}, 1}, Geometry{{5, 1, 0}, {wild, wild, wild}, 1}}) {
      ASSERT_TRUE(lies_within(from, 1, 3));
      for (std::int64_t d = 0; d < 3; ++d) {
        const std::int64_t size = from.sizes[static_cast<std::size_t>(d)];
        if (size > 0) select(from, d, size - 1);
        narrow(from, d, size, 0);
        slice(from, d, size, std::nullopt, 2);
        unsqueeze(from, d);
        squeeze(from, d);
      }
      view(from, Dims{numel(from)});
      expand(from, Dims{1, 1, -1, -1, -1});
      is_non_overlapping_and_dense(from);
      is_contiguous(from);
    }
  }
}

TEST(Views, OneEllipsisAtMost) {
  const Geometry base = contiguous_geometry(Dims{2, 3});
  EXPECT_THROW(index(base, std::vector<Index>{Ellipsis{}, Ellipsis{}}), IndexError);
}

TEST(Views, NoMoreThanSixtyFourDimensions) {
  const Geometry full = contiguous_geometry(Dims(kMaxDims, 1));
  EXPECT_THROW(unsqueeze(full, 0), InvalidArgumentError);
  EXPECT_THROW(view(full, std::vector<std::int64_t>(65, 1)), InvalidArgumentError);
}

}  // namespace
}  // namespace tensorbroker
