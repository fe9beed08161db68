#include "proto/name_prefix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "proto/heap_record.h"

namespace tensorbroker {
namespace {

std::vector<std::byte> record(const std::string& name) {
  std::vector<std::byte> bytes(heap_record_bytes(name.size(), 40));
  write_heap_record({.generation = 42, .name = name, .header = std::vector<std::byte>(40)}, bytes.data());
  return bytes;
}

// Names of a few letters, so that they have prefixes in common.
std::string random_name(std::mt19937& random, std::size_t longest) {
  std::string name(random() % (longest + 1), 'a');
  for (char& c : name) c = static_cast<char>("ab\xff"[random() % 3]);
  return name;
}

TEST(NamePrefix, DiffersWhereANameDoesNotBeginWithIt) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  int begin = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = random_name(random, i % 2 == 0 ? 20 : kMaxNameBytes);
    std::string prefix = name.substr(0, random() % (name.size() + 1));
    if (i % 3 != 0) prefix += random_name(random, 3);
    ASSERT_EQ(NamePrefix(prefix).differs(record(name)), !name.starts_with(prefix)) << prefix << " of " << name;
    begin += name.starts_with(prefix) ? 1 : 0;
  }
  EXPECT_GT(begin, 5'000);
  EXPECT_LT(begin, 15'000);
}

TEST(NamePrefix, OneThatIsLongerThanAnyNameDiffers) {
  const auto longest = record(std::string(kMaxNameBytes, 'n'));
  EXPECT_FALSE(NamePrefix(std::string(kMaxNameBytes, 'n')).differs(longest));
  EXPECT_TRUE(NamePrefix(std::string(kMaxNameBytes + 1, 'n')).differs(longest));
  EXPECT_TRUE(NamePrefix(std::string(100'000, 'n')).differs(longest));
}

// A record that is overwritten has any lengths. What lies behind it is another page, or another's.
TEST(NamePrefix, ReadsNothingBeyondTheRecord) {
  const auto whole = record(std::string(100, 'n'));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    const bool holds_prefix = bytes >= kHeapRecordNameOffset + 56;  // 50 in whole words
    EXPECT_EQ(NamePrefix(std::string(50, 'm')).differs(cut), holds_prefix) << bytes << " bytes";
  }
}

}  // namespace
}  // namespace tensorbroker
