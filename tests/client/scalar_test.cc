// Reading and writing one element, replayed against torch 2.13 (scalar_oracle.json, made by scalar_oracle.py).

#include "client/scalar.h"

#include <gtest/gtest.h>
#include <tensorbroker/error.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "client/small_float.h"

namespace tensorbroker {
namespace {

using nlohmann::json;

class ScalarOracle : public testing::Test {
 protected:
  ScalarOracle() {
    std::ifstream file(std::filesystem::path(__FILE__).parent_path() / "scalar_oracle.json");
    oracle_ = json::parse(file);
    trace_.emplace(__FILE__, __LINE__, "seed of the recording: " + std::to_string(oracle_.at("seed").get<int>()));
  }

  json oracle_;

 private:
  std::optional<testing::ScopedTrace> trace_;
};

using Element = std::array<std::byte, 16>;

Element from_hex(const std::string& hex) {
  Element bytes{};
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.at(i / 2) = static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

// The element's bytes in hex, "nan" for a NaN of a real dtype: as the recording has them.
std::string to_hex(const Element& element, DType dtype) {
  if (info(dtype).kind == DTypeKind::kFloat && std::isnan(to_double(load(element.data(), dtype)))) return "nan";
  std::string hex;
  for (std::size_t i = 0; i < itemsize(dtype); ++i) {
    constexpr char kDigits[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned>(element[i]);
    hex += {kDigits[byte / 16], kDigits[byte % 16]};
  }
  return hex;
}

DType to_dtype(const json& name) { return dtype_from_name(name.get<std::string>()).value(); }

double to_float(const json& text) { return std::stod(text.get<std::string>()); }

Scalar to_scalar(const json& value) {
  const std::string kind = value[0];
  if (kind == "complex") return std::complex<double>(to_float(value[1]), to_float(value[2]));
  if (kind == "float") return to_float(value[1]);
  const std::string text = value[1];
  if (kind == "bool") return text == "True";
  if (text.size() >= 19 && text[0] != '-' && std::stoull(text) > INT64_MAX) return std::uint64_t{std::stoull(text)};
  return std::int64_t{std::stoll(text)};
}

// What a store leaves, or "class: message" of its error: as the recording has them.
template <class Store>
std::string outcome(Store store_one, DType dtype, const Scalar& value) {
  Element element{};
  try {
    store_one(element.data(), dtype, value);
  } catch (const Error& error) {
    const char* name = error.code() == ErrorCode::kType      ? "TypeError"
                       : error.code() == ErrorCode::kRuntime ? "RuntimeError"
                                                             : "ValueError";
    return std::string(name) + ": " + error.what();
  }
  return to_hex(element, dtype);
}

std::string recorded(const json& item) {
  if (item.is_string()) return item;
  return item[0].get<std::string>() + ": " + item[1].get<std::string>();
}

TEST_F(ScalarOracle, EveryFloat8CodeIsItsFloat) {
  for (const auto& [name, values] : oracle_.at("decode").items()) {
    ASSERT_EQ(values.size(), 256u);
    for (int code = 0; code < 256; ++code) {
      const auto byte = static_cast<std::byte>(code);
      Element element{};
      store_cast(element.data(), kFloat32, load(&byte, dtype_from_name(name).value()));
      EXPECT_EQ(to_hex(element, kFloat32), values[static_cast<std::size_t>(code)].get<std::string>())
          << name << " " << code;
    }
  }
}

TEST_F(ScalarOracle, StoreIsFill) {
  const json& values = oracle_.at("values");
  for (const auto& [name, row] : oracle_.at("store").items()) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_EQ(outcome(store, to_dtype(name), to_scalar(values[i])), recorded(row["fill"][i])) << name << values[i];
    }
  }
}

TEST_F(ScalarOracle, StoreLiteralIsTorchTensor) {
  const json& values = oracle_.at("values");
  for (const auto& [name, row] : oracle_.at("store").items()) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (row["literal"][i].is_null()) continue;
      EXPECT_EQ(outcome(store_literal, to_dtype(name), to_scalar(values[i])), recorded(row["literal"][i]))
          << name << values[i];
    }
  }
}

TEST_F(ScalarOracle, StoreCastIsTo) {
  std::size_t count = 0;
  for (const json& row : oracle_.at("cast")) {
    const DType source = to_dtype(row[0]);
    const DType target = to_dtype(row[1]);
    std::istringstream before(row[2].get<std::string>());
    std::istringstream after(row[3].get<std::string>());
    for (std::string from, to; before >> from && after >> to; ++count) {
      Element element{};
      store_cast(element.data(), target, load(from_hex(from).data(), source));
      EXPECT_EQ(to_hex(element, target), to) << row[0] << " " << from << " to " << row[1];
    }
  }
  EXPECT_GE(count, 6000u);
}

template <class Format>
void expect_round_trip(DType dtype) {
  for (std::uint32_t code = 0; code < (1u << (8 * sizeof(typename Format::Bits))); ++code) {
    const auto bits = static_cast<typename Format::Bits>(code);
    const float value = Format::decode(bits);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(Format::decode(Format::encode(value)))) << name(dtype) << " " << code;
    } else {
      EXPECT_EQ(Format::encode(value), bits) << name(dtype) << " " << code;
    }
  }
}

TEST(SmallFloat, EveryCodeSurvivesTheWayThroughFloat) {
  expect_round_trip<Float16>(kFloat16);
  expect_round_trip<BFloat16>(kBFloat16);
  expect_round_trip<Float8E4M3Fn>(kFloat8E4M3Fn);
  expect_round_trip<Float8E5M2>(kFloat8E5M2);
  expect_round_trip<Float8E4M3Fnuz>(kFloat8E4M3Fnuz);
  expect_round_trip<Float8E5M2Fnuz>(kFloat8E5M2Fnuz);
  expect_round_trip<Float8E8M0Fnu>(kFloat8E8M0Fnu);
}

TEST(Scalar, LoadGivesEachKindItsAlternative) {
  const Element zero{};
  for (const DTypeInfo& row : all_dtypes()) {
    const std::size_t expected = row.kind == DTypeKind::kBool       ? 0
                                 : row.kind == DTypeKind::kSigned   ? 1
                                 : row.kind == DTypeKind::kUnsigned ? 2
                                 : row.kind == DTypeKind::kFloat    ? 3
                                                                    : 4;
    EXPECT_EQ(load(zero.data(), row.dtype).index(), expected) << row.name;
  }
}

TEST(Scalar, ABoolOfAnyByteIsTrueOrFalse) {
  for (int value = 0; value < 256; ++value) {
    const auto byte = static_cast<std::byte>(value);
    EXPECT_EQ(std::get<bool>(load(&byte, kBool)), value != 0);
  }
}

TEST(Scalar, AFailedStoreWritesNothing) {
  std::byte byte{0x55};
  EXPECT_THROW(store(&byte, kInt8, std::int64_t{1000}), RuntimeError);
  EXPECT_THROW(store_literal(&byte, kUInt8, -3.0), RuntimeError);
  EXPECT_EQ(byte, std::byte{0x55});
}

}  // namespace
}  // namespace tensorbroker
