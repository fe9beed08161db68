// View operations and basic indexing, replayed against torch 2.13 (views_oracle.json, made by views_oracle.py).

#include "proto/views.h"

#include <gtest/gtest.h>
#include <tensorbroker/error.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "proto/dense_strides.h"
#include "proto/geometry.h"
#include "proto/indexing.h"

namespace tensorbroker {
namespace {

using nlohmann::json;
using Numbers = std::vector<std::int64_t>;

Geometry to_geometry(const json& item) {
  return {Dims(item[0].get<Numbers>()), Dims(item[1].get<Numbers>()), item[2].get<std::int64_t>()};
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

// What a program has come to: a geometry over a storage of so many bytes.
struct State {
  Geometry geometry;
  DType dtype = kInt64;
  std::uint64_t storage_nbytes = 0;
};

using Parts = std::vector<Geometry>;
using Operation = std::function<Parts(const State&, const json&)>;

// Operations of proto/views.h and proto/indexing.h. Each that gives one view gives one part.
const std::map<std::string, Operation>& operations() {
  const auto plain = [](auto function) {
    return [function](const State& s, const json& args) -> Parts { return {function(s.geometry, args)}; };
  };
  static const std::map<std::string, Operation> table{
      {"select", plain([](auto& g, auto& a) { return select(g, a[0], a[1]); })},
      {"narrow", plain([](auto& g, auto& a) { return narrow(g, a[0], a[1], a[2]); })},
      {"slice", plain([](auto& g, auto& a) { return slice(g, a[0], to_bound(a[1]), to_bound(a[2]), a[3]); })},
      {"index", plain([](auto& g, auto& a) {
         std::vector<Index> indices;
         for (const json& item : a) indices.push_back(to_index(item));
         return index(g, indices);
       })},
      {"view", plain([](auto& g, auto& a) { return view(g, a.template get<Numbers>()); })},
      {"unflatten", plain([](auto& g, auto& a) { return unflatten(g, a[0], a[1].template get<Numbers>()); })},
      {"transpose", plain([](auto& g, auto& a) { return transpose(g, a[0], a[1]); })},
      {"t", plain([](auto& g, auto&) { return t(g); })},
      {"mT", plain([](auto& g, auto&) { return matrix_transpose(g); })},
      {"T", plain([](auto& g, auto&) { return reversed(g); })},
      {"permute", plain([](auto& g, auto& a) { return permute(g, a.template get<Numbers>()); })},
      {"movedim",
       plain([](auto& g, auto& a) { return movedim(g, a[0].template get<Numbers>(), a[1].template get<Numbers>()); })},
      {"unsqueeze", plain([](auto& g, auto& a) { return unsqueeze(g, a[0]); })},
      {"squeeze", plain([](auto& g, auto& a) { return a.empty() ? squeeze(g) : squeeze(g, std::int64_t{a[0]}); })},
      {"squeeze_dims", plain([](auto& g, auto& a) { return squeeze(g, a.template get<Numbers>()); })},
      {"expand", plain([](auto& g, auto& a) { return expand(g, a.template get<Numbers>()); })},
      {"unbind", [](auto& s, auto& a) { return unbind(s.geometry, a[0]); }},
      {"split", [](auto& s, auto& a) { return split(s.geometry, std::int64_t{a[0]}, a[1]); }},
      {"split_with_sizes", [](auto& s, auto& a) { return split(s.geometry, a[0].template get<Numbers>(), a[1]); }},
      {"chunk", [](auto& s, auto& a) { return chunk(s.geometry, a[0], a[1]); }},
      {"diagonal", plain([](auto& g, auto& a) { return diagonal(g, a[0], a[1], a[2]); })},
      {"unfold", plain([](auto& g, auto& a) { return unfold(g, a[0], a[1], a[2]); })},
      {"as_strided",
       [](auto& s, auto& a) -> Parts {
         const std::int64_t offset = a.size() > 2 ? std::int64_t{a[2]} : s.geometry.storage_offset;
         return {
             as_strided(a[0].template get<Numbers>(), a[1].template get<Numbers>(), offset, s.dtype, s.storage_nbytes)};
       }},
      {"view_dtype",
       [](auto& s, auto& a) -> Parts {
         return {view_dtype(s.geometry, s.dtype, *dtype_from_name(a[0].template get<std::string>()))};
       }},
      // What moves elements, as far as its result's geometry goes.
      {"reshape", plain([](auto& g, auto& a) {
         const auto seen = try_view(g, a.template get<Numbers>());
         return seen ? *seen : contiguous_geometry(infer_size(a.template get<Numbers>(), numel(g)));
       })},
      {"flatten", plain([](auto& g, auto& a) {
         const auto shape = flattened_shape(g, a[0], a[1]);
         if (!shape) return g;
         const auto seen = try_view(g, *shape);
         return seen ? *seen : contiguous_geometry(*shape);
       })},
      {"contiguous", plain([](auto& g, auto&) { return is_contiguous(g) ? g : contiguous_geometry(g.sizes); })},
      {"clone", plain([](auto& g, auto&) { return clone_geometry(g); })},
  };
  return table;
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

std::string describe(const Parts& parts) {
  std::string text;
  for (const Geometry& part : parts) text += describe(part) + "; ";
  return text;
}

Parts recorded_parts(const json& result) {
  if (result.is_array()) return {to_geometry(result)};
  Parts parts;
  for (const json& part : result.at("parts")) parts.push_back(to_geometry(part));
  return parts;
}

// The state after a step that gave `parts`.
State next(const State& state, const json& step, const Parts& parts) {
  const std::string op = step[0];
  const json& result = step[2];
  const bool is_one = result.is_array();
  if (!is_one && result.at("next").is_null()) return state;
  State now{parts[is_one ? 0 : result.at("next").get<std::size_t>()], state.dtype, state.storage_nbytes};
  if (op == "view_dtype") now.dtype = *dtype_from_name(step[1][0].get<std::string>());
  const bool copied = op == "clone" || (op == "contiguous" && !is_contiguous(state.geometry)) ||
                      (op == "reshape" && !try_view(state.geometry, step[1].get<Numbers>())) ||
                      (op == "flatten" && !try_view(state.geometry, now.geometry.sizes));
  if (copied) now.storage_nbytes = static_cast<std::uint64_t>(numel(now.geometry)) * itemsize(now.dtype);
  return now;
}

const json& oracle() {
  static const json recorded = [] {
    std::ifstream file(std::filesystem::path(__FILE__).parent_path() / "views_oracle.json");
    return json::parse(file);
  }();
  return recorded;
}

// Calls visit(state before, step, what it gave, or the error) for every step of every program.
template <class Visit>
void replay(Visit&& visit) {
  for (const json& program : oracle().at("programs")) {
    const Geometry base = contiguous_geometry(program.at("sizes").get<Numbers>());
    State state{base, kInt64, static_cast<std::uint64_t>(numel(base)) * itemsize(kInt64)};
    for (const json& step : program.at("steps")) {
      try {
        const Parts parts = operations().at(step[0])(state, step[1]);
        visit(state, step, parts, "");
        if (!step[2].is_string()) state = next(state, step, parts);
      } catch (const Error& error) {
        visit(state, step, {}, describe(error));
      }
    }
  }
}

TEST(Views, AsTorchInEveryStepOfEveryRecordedProgram) {
  SCOPED_TRACE("seed of the recording: " + std::to_string(oracle().at("seed").get<int>()));
  std::map<std::string, std::size_t> steps;
  replay([&](const State& state, const json& step, const Parts& parts, const std::string& error) {
    const json& result = step[2];
    const std::string expected = result.is_string() ? result.get<std::string>() : describe(recorded_parts(result));
    EXPECT_EQ(error.empty() ? describe(parts) : error, expected)
        << step[0] << " " << step[1] << " of " << describe(state.geometry) << " " << name(state.dtype);
    if (!result.is_string()) ++steps[step[0]];
  });
  for (const auto& [op, operation] : operations()) EXPECT_GE(steps[op], 20u) << op;
}

TEST(Views, AViewNeverReachesBeyondItsStorage) {
  replay([](const State& state, const json& step, const Parts& parts, const std::string&) {
    const std::string op = step[0];
    if (op == "clone" || op == "contiguous" || op == "reshape" || op == "flatten") return;
    const DType dtype = op == "view_dtype" ? *dtype_from_name(step[1][0].get<std::string>()) : state.dtype;
    ASSERT_TRUE(lies_within(state.geometry, itemsize(state.dtype), state.storage_nbytes));
    for (const Geometry& part : parts) {
      EXPECT_TRUE(lies_within(part, itemsize(dtype), state.storage_nbytes)) << step << describe(state.geometry);
    }
  });
}

// The one that a 0-d tensor makes of itself is no step in memory.
TEST(Views, AnExpandedScalarHasNoStrides) {
  EXPECT_EQ(expand(Geometry{{}, {}, 4}, Dims{2, 3}), (Geometry{{2, 3}, {0, 0}, 4}));
  EXPECT_EQ(expand(Geometry{}, Dims{1}), (Geometry{{1}, {0}, 0}));
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

// A second one stands for as many dimensions again, so nothing that names one can follow.
TEST(Views, AnotherEllipsisIsNoError) {
  const Geometry base = contiguous_geometry(Dims{2, 3});
  EXPECT_EQ(index(base, std::vector<Index>{Ellipsis{}, Ellipsis{}}), base);
  EXPECT_EQ(index(base, std::vector<Index>{Ellipsis{}, std::int64_t{1}, Ellipsis{}}), (Geometry{{2}, {3}, 1}));
  EXPECT_THROW(index(base, std::vector<Index>{Ellipsis{}, Ellipsis{}, std::int64_t{0}}), IndexError);
}

TEST(Views, NoMoreThanSixtyFourDimensions) {
  const Geometry full = contiguous_geometry(Dims(kMaxDims, 1));
  EXPECT_THROW(unsqueeze(full, 0), InvalidArgumentError);
  EXPECT_THROW(view(full, std::vector<std::int64_t>(65, 1)), InvalidArgumentError);
}

}  // namespace
}  // namespace tensorbroker
