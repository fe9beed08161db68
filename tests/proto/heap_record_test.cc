#include "proto/heap_record.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace tensorbroker {
namespace {

std::vector<std::byte> record(const std::string& name, std::size_t header_bytes) {
  const std::vector<std::byte> header(header_bytes, std::byte{7});
  std::vector<std::byte> bytes(heap_record_bytes(name.size(), header_bytes));
  write_heap_record({.generation = 42, .name = name, .header = header}, bytes.data());
  return bytes;
}

TEST(HeapRecord, ReadsBackWhatWasWritten) {
  for (const std::string& name : {std::string(), std::string("w"), std::string("12345678"), std::string(255, 'n')}) {
    const auto bytes = record(name, 100);
    HeapRecord read;
    ASSERT_TRUE(read_heap_record(bytes, &read));
    EXPECT_EQ(read.generation, 42u);
    EXPECT_EQ(read.name, name);
    ASSERT_EQ(read.header.size(), 100u);
    EXPECT_EQ(read.header[99], std::byte{7});
    EXPECT_EQ((read.header.data() - bytes.data()) % 8, 0) << "FlatBuffers reads 8-byte scalars in place";
    EXPECT_TRUE(heap_record_intact(bytes));
  }
}

TEST(HeapRecord, RefusesLengthsThatDoNotFit) {
  auto bytes = record("name", 100);
  HeapRecord read;
  EXPECT_FALSE(read_heap_record(std::span(bytes).first(23), &read)) << "shorter than the prefix";
  EXPECT_FALSE(read_heap_record(std::span(bytes).first(bytes.size() - 1), &read)) << "shorter than the header";
  for (const std::size_t field : {16u, 20u}) {
    auto broken = bytes;
    const std::uint32_t huge = 0xfffffff0;
    std::memcpy(broken.data() + field, &huge, sizeof huge);
    EXPECT_FALSE(read_heap_record(broken, &read)) << "length at " << field;
  }
}

TEST(HeapRecord, ChecksumSeesEveryByte) {
  const auto bytes = record("name", 40);
  for (std::size_t i = 8; i < bytes.size(); ++i) {
    auto broken = bytes;
    broken[i] ^= std::byte{1};
    EXPECT_FALSE(heap_record_intact(broken)) << "byte " << i;
  }
}

}  // namespace
}  // namespace tensorbroker
