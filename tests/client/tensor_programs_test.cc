// Programs of torch 2.13's view operations, replayed on tensors (tests/proto/views_oracle.json, by views_oracle.py).

#include <gtest/gtest.h>
#include <tensorbroker/tensorbroker.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace tensorbroker {
namespace {

using nlohmann::json;
using Numbers = std::vector<std::int64_t>;
using Parts = std::vector<Tensor>;
using Operation = std::function<Parts(const Tensor&, const json&)>;

Numbers numbers(const json& item) { return item.get<Numbers>(); }

std::optional<std::int64_t> bound(const json& item) {
  if (item.is_null()) return std::nullopt;
  return item.get<std::int64_t>();
}

Index to_index(const json& item) {
  if (item.is_null()) return NewAxis{};
  if (item.is_string()) return Ellipsis{};
  if (item.is_array()) return Slice{bound(item[0]), bound(item[1]), bound(item[2]).value_or(1)};
  return item.get<std::int64_t>();
}

Tensor index(const Tensor& t, const json& args) {
  std::vector<Index> indices;
  for (const json& item : args) indices.push_back(to_index(item));
  return t.index(indices);
}

Tensor as_strided(const Tensor& t, const json& args) {
  if (args.size() == 2) return t.as_strided(numbers(args[0]), numbers(args[1]));
  return t.as_strided(numbers(args[0]), numbers(args[1]), args[2].get<std::int64_t>());
}

const std::map<std::string, Operation>& operations() {
  const auto one = [](auto function) {
    return [function](const Tensor& t, const json& args) -> Parts { return {function(t, args)}; };
  };
  static const std::map<std::string, Operation> table{
      {"select", one([](auto& t, auto& a) { return t.select(a[0], a[1]); })},
      {"narrow", one([](auto& t, auto& a) { return t.narrow(a[0], a[1], a[2]); })},
      {"slice", one([](auto& t, auto& a) { return t.slice(a[0], bound(a[1]), bound(a[2]), a[3]); })},
      {"index", one(&index)},
      {"view", one([](auto& t, auto& a) { return t.view(numbers(a)); })},
      {"view_dtype", one([](auto& t, auto& a) { return t.view(*dtype_from_name(a[0].template get<std::string>())); })},
      {"unflatten", one([](auto& t, auto& a) { return t.unflatten(a[0], numbers(a[1])); })},
      {"transpose", one([](auto& t, auto& a) { return t.transpose(a[0], a[1]); })},
      {"t", one([](auto& t, auto&) { return t.t(); })},
      {"mT", one([](auto& t, auto&) { return t.mT(); })},
      {"T", one([](auto& t, auto&) { return t.numpy_T(); })},
      {"permute", one([](auto& t, auto& a) { return t.permute(numbers(a)); })},
      {"movedim", one([](auto& t, auto& a) { return t.movedim(numbers(a[0]), numbers(a[1])); })},
      {"unsqueeze", one([](auto& t, auto& a) { return t.unsqueeze(a[0]); })},
      {"squeeze", one([](auto& t, auto& a) { return a.empty() ? t.squeeze() : t.squeeze(std::int64_t{a[0]}); })},
      {"squeeze_dims", one([](auto& t, auto& a) { return t.squeeze(DimList(numbers(a))); })},
      {"expand", one([](auto& t, auto& a) { return t.expand(numbers(a)); })},
      {"unbind", [](auto& t, auto& a) { return t.unbind(a[0]); }},
      {"split", [](auto& t, auto& a) { return t.split(a[0], a[1]); }},
      {"split_with_sizes", [](auto& t, auto& a) { return t.split_with_sizes(numbers(a[0]), a[1]); }},
      {"chunk", [](auto& t, auto& a) { return t.chunk(a[0], a[1]); }},
      {"diagonal", one([](auto& t, auto& a) { return t.diagonal(a[0], a[1], a[2]); })},
      {"unfold", one([](auto& t, auto& a) { return t.unfold(a[0], a[1], a[2]); })},
      {"as_strided", one(&as_strided)},
      {"reshape", one([](auto& t, auto& a) { return t.reshape(numbers(a)); })},
      {"flatten", one([](auto& t, auto& a) { return t.flatten(a[0], a[1]); })},
      {"contiguous", one([](auto& t, auto&) { return t.contiguous(); })},
      {"clone", one([](auto& t, auto&) { return t.clone(); })},
  };
  return table;
}

std::string describe(const Error& error) {
  const char* name = error.code() == ErrorCode::kIndex     ? "IndexError"
                     : error.code() == ErrorCode::kRuntime ? "RuntimeError"
                                                           : "ValueError";
  return std::string(name) + ": " + error.what();
}

// As it is recorded: [sizes, strides, offset].
json describe(const Tensor& t) {
  return json::array({Numbers(t.sizes().begin(), t.sizes().end()), Numbers(t.strides().begin(), t.strides().end()),
                      t.storage_offset()});
}

json describe(const Parts& parts, const json& recorded) {
  if (recorded.is_array()) return describe(parts.at(0));
  json all = json::array();
  for (const Tensor& part : parts) all.push_back(describe(part));
  return all;
}

// Where the program goes on after a step.
Tensor next(const Tensor& tensor, const Parts& parts, const json& recorded) {
  if (recorded.is_array()) return parts.at(0);
  return recorded.at("next").is_null() ? tensor : parts.at(recorded.at("next").get<std::size_t>());
}

bool moves_elements(const std::string& op) {
  return op == "clone" || op == "contiguous" || op == "reshape" || op == "flatten";
}

void take(const json& step, Tensor* tensor) {
  const std::string op = step[0];
  const json& recorded = step[2];
  SCOPED_TRACE(step.dump() + " of " + describe(*tensor).dump());
  try {
    const Parts parts = operations().at(op)(*tensor, step[1]);
    if (recorded.is_string()) {
      ADD_FAILURE() << "gave " << describe(parts.empty() ? *tensor : parts[0]);
      return;
    }
    EXPECT_EQ(describe(parts, recorded), recorded.is_array() ? recorded : recorded.at("parts"));
    for (const Tensor& part : parts) {
      EXPECT_TRUE(moves_elements(op) || part.storage().get() == tensor->storage().get());
    }
    *tensor = next(*tensor, parts, recorded);
  } catch (const Error& error) {
    EXPECT_EQ(json(describe(error)), recorded);
  }
}

TEST(TensorPrograms, AsTorchInEveryStepAndInTheElementsAtTheEnd) {
  const auto here = std::filesystem::path(__FILE__).parent_path();
  std::ifstream file(here.parent_path() / "proto" / "views_oracle.json");
  const json oracle = json::parse(file);
  SCOPED_TRACE("seed of the recording: " + std::to_string(oracle.at("seed").get<int>()));
  std::size_t printed = 0;
  for (const json& program : oracle.at("programs")) {
    const Numbers sizes = numbers(program.at("sizes"));
    Numbers values(
        static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>())));
    std::iota(values.begin(), values.end(), 0);
    Tensor tensor = from_blob(values.data(), std::span<const std::int64_t>(sizes), kInt64);
    for (const json& step : program.at("steps")) take(step, &tensor);
    if (!program.contains("text")) continue;
    EXPECT_EQ(tensor.to_string(), program.at("text").get<std::string>()) << program;
    ++printed;
  }
  EXPECT_GE(printed, 400u);
}

}  // namespace
}  // namespace tensorbroker
