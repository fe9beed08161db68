#include "proto/name_beginnings.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <string>

namespace tensorbroker {
namespace {

// Whether a listing of the prefix looks at the name.
bool may_begin(const std::string& name, const std::string& prefix) {
  const std::uint64_t wanted = beginnings_of(prefix);
  return (beginnings_of(name) & wanted) == wanted;
}

TEST(NameBeginnings, HaveThoseOfEveryPrefix) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (std::size_t bytes = 1; bytes <= kMaxNameBytes; ++bytes) {
    std::string name(bytes, '\0');
    for (char& c : name) c = static_cast<char>(random());
    for (std::size_t n = 0; n <= bytes; ++n) ASSERT_TRUE(may_begin(name, name.substr(0, n))) << n << " of " << bytes;
  }
}

TEST(NameBeginnings, OfNothingAreNone) {
  EXPECT_EQ(beginnings_of(""), 0u);
  EXPECT_TRUE(may_begin("a", ""));
}

// Broker and clients may be of different builds: what this says is part of the layout.
TEST(NameBeginnings, AreTheSameInEveryBuild) {
  EXPECT_EQ(beginnings_of("a"), std::uint64_t{1} << (8 + 7));
  EXPECT_EQ(beginnings_of("models/llama/weights"), 0x811804c213b01550);
}

// How many of the names that do not begin with the prefix a listing looks at nevertheless.
double wrong_looks(const std::string& before, const std::string& digits, const std::string& after) {
  int wrong = 0;
  int others = 0;
  for (int i = 0; i < 100'000; ++i) {
    const std::string number = std::to_string(100'000 + i).substr(1);
    if (number.starts_with(digits)) continue;
    ++others;
    wrong += may_begin(std::string(before).append(number).append(after), before + digits) ? 1 : 0;
  }
  return static_cast<double>(wrong) / others;
}

TEST(NameBeginnings, TellMostNamesApart) {
  EXPECT_LT(wrong_looks("many/", "042", ""), 0.01);
  EXPECT_LT(wrong_looks("a", "042", ""), 0.01);
  EXPECT_LT(wrong_looks("experiment-17/step-", "042", "/weights"), 0.05);
}

// What all names have in common says nothing, and by chance may set the bits of what follows: so on average.
TEST(NameBeginnings, TellLongNamesApartForTheMostPart) {
  double all = 0;
  for (char c = 'a'; c <= 'z'; ++c) {
    all += wrong_looks(std::string("checkpoints/a-large-model-") + c + "/layers.", "042", ".self_attn.q_proj.weight");
  }
  EXPECT_LT(all / 26, 0.4);
}

// Of the longest name not every bit is set.
TEST(NameBeginnings, OfALongNameAreNotAll) {
  std::mt19937 random(1);
  std::string name(kMaxNameBytes, '\0');
  for (char& c : name) c = static_cast<char>('a' + random() % 26);
  EXPECT_LT(std::popcount(beginnings_of(name)), 56);
}

}  // namespace
}  // namespace tensorbroker
