// Printing, replayed against what torch 2.13 printed (print_oracle.json, made by print_oracle.py).

#include "client/print.h"

#include <gtest/gtest.h>
#include <tensorbroker/dtype.h>
#include <tensorbroker/geometry.h>

#include <clocale>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "proto/geometry.h"

namespace tensorbroker {
namespace {

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

nlohmann::json read_oracle() {
  std::ifstream file(std::filesystem::path(__FILE__).parent_path() / "print_oracle.json");
  return nlohmann::json::parse(file);
}

TEST(Print, AsTorchForEveryRecordedTensor) {
  const nlohmann::json oracle = read_oracle();
  const auto& cases = oracle.at("cases");
  SCOPED_TRACE("seed of the recording: " + std::to_string(oracle.at("seed").get<int>()));
  ASSERT_GE(cases.size(), 300u);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto& item = cases[i];
    const DType dtype = dtype_from_name(item.at("dtype").get<std::string>()).value();
    const Geometry geometry{Dims(item.at("sizes").get<std::vector<std::int64_t>>()),
                            Dims(item.at("strides").get<std::vector<std::int64_t>>()), item.at("offset")};
    const std::vector<std::byte> storage = from_hex(item.at("storage"));
    ASSERT_TRUE(lies_within(geometry, itemsize(dtype), storage.size())) << "case " << i;
    EXPECT_EQ(to_string(geometry, dtype, storage.data()), item.at("repr").get<std::string>())
        << "case " << i << ": " << name(dtype) << " " << geometry.sizes.to_string();
  }
}

TEST(Print, EveryDtypeIsRecorded) {
  const nlohmann::json oracle = read_oracle();
  for (const DTypeInfo& row : all_dtypes()) {
    bool found = false;
    for (const auto& item : oracle.at("cases")) found = found || item.at("dtype") == row.name;
    EXPECT_TRUE(found) << row.name;
  }
}

TEST(Print, IgnoresTheLocale) {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* locale : {"de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"}) {
    if (std::setlocale(LC_ALL, locale) == nullptr) continue;
    const float value = 1.5F;
    EXPECT_EQ(to_string({}, kFloat32, reinterpret_cast<const std::byte*>(&value)), "tensor(1.5000)") << locale;
  }
  std::setlocale(LC_ALL, before.c_str());
}

}  // namespace
}  // namespace tensorbroker
