// Safetensors files from C++: the header's format, and bundles from and to files.

#include "client/safetensors.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

TEST(SafetensorsHeader, GivesBackWhatWasEncoded) {
  const std::vector<safetensors::Member> members = {{"b", kUInt8, {3}, 16, 19}, {"a", kFloat64, {1, 2}, 0, 16}};
  const std::string metadata = R"({"step":5,"tags":["x",null]})";
  const std::string text = safetensors::encode_header(members, metadata);
  ASSERT_EQ(text.size() % 8, 0u);
  const auto bytes = std::as_bytes(std::span(text));
  const std::uint64_t length = safetensors::parse_length(bytes.first<8>(), text.size());
  EXPECT_EQ(length, text.size() - 8);
  const safetensors::Header header = safetensors::parse_header(std::string_view(text).substr(8), 19);
  ASSERT_EQ(header.members.size(), 2u);
  EXPECT_EQ(header.members[0].name, "b");
  EXPECT_EQ(header.members[1].sizes, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(header.members[1].dtype, kFloat64);
  EXPECT_EQ(header.metadata, metadata);
  EXPECT_EQ(safetensors::data_order(header.members), (std::vector<std::size_t>{1, 0}));
}

TEST(SafetensorsHeader, EveryTruncationIsRefused) {
  const std::vector<safetensors::Member> members = {{"a", kFloat32, {2}, 0, 8}};
  const std::string text = safetensors::encode_header(members, R"({"k":"v"})").substr(8);
  const std::size_t object = text.find_last_of('}') + 1;
  for (std::size_t n = 0; n < object; ++n) {
    EXPECT_THROW(safetensors::parse_header(text.substr(0, n), 8), InvalidArgumentError) << n;
  }
  EXPECT_NO_THROW(safetensors::parse_header(text.substr(0, object), 8));
}

class Safetensors : public WithBroker {
 protected:
  Safetensors() : path_(std::filesystem::temp_directory_path() / ("tensorbroker-" + std::to_string(getpid()))) {}
  ~Safetensors() override { std::filesystem::remove(path_); }
  const std::filesystem::path path_;
};

TEST_F(Safetensors, ABundleGoesToAFileAndBack) {
  const Bundle::Member members[] = {{"odd", counting({3})}, {"t", counting({2, 3}).t()}};
  client_.put_bundle("m", members, {.overwrite = true, .metadata = R"({"step":1})"});
  client_.save_safetensors("m", path_);
  const Bundle loaded = client_.load_safetensors("copy", path_);
  EXPECT_EQ(loaded.metadata(), R"({"step":1})");
  EXPECT_EQ(values(loaded.at("odd")), values(client_.get_bundle("m").at("odd")));
  EXPECT_TRUE(loaded.at("t").is_contiguous());
  EXPECT_EQ(loaded.at("t").select(0, 1).to_string(), client_.get_bundle("m").at("t").select(0, 1).to_string());
}

TEST_F(Safetensors, AFileThatIsNotThereSaysSo) {
  try {
    client_.load_safetensors("m", path_);
    FAIL();
  } catch (const FileError& error) {
    EXPECT_EQ(error.error_number(), ENOENT);
    EXPECT_EQ(error.path(), path_);
  }
}

TEST_F(Safetensors, ARefusedFileLeavesNothingBehind) {
  std::ofstream(path_) << "12345678{}";
  const std::uint64_t used = client_.stats().used;
  EXPECT_THROW(client_.load_safetensors("m", path_), InvalidArgumentError);
  EXPECT_FALSE(client_.exists("m"));
  EXPECT_EQ(client_.stats().used, used);
}

}  // namespace
}  // namespace tensorbroker
