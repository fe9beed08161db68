// Frames through a command ring: whole, in order, within its room; and what a ring may hold that no writer wrote.

#include "proto/command_ring.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>

#include "tests/support/local_rings.h"

namespace tensorbroker {
namespace {

using Read = RingReader::Read;
using Written = RingWriter::Written;

std::vector<std::byte> frame_of(std::size_t bytes, unsigned first = 0) {
  std::vector<std::byte> frame(bytes);
  for (std::size_t i = 0; i < bytes; ++i) frame[i] = static_cast<std::byte>(first + i);
  return frame;
}

class CommandRingTest : public testing::Test {
 protected:
  test::LocalRings memory_;
  CommandRing ring_ = memory_.rings().requests;
  RingWriter writer_{ring_};
  RingReader reader_{ring_};
  std::vector<std::byte> frame_;
};

TEST_F(CommandRingTest, FramesOfAllSizesComeWholeAndInOrderManyTimesAround) {
  const std::size_t most = (kCommandRingWords - 1) * sizeof(std::uint64_t);
  for (unsigned i = 0; i < 2000; ++i) {
    const std::size_t bytes = i % 100 == 99 ? most : 1 + i * 7 % 900;
    ASSERT_EQ(writer_.write(frame_of(bytes, i)), Written::kSeen) << bytes;
    ASSERT_EQ(reader_.read(&frame_), Read::kFrame) << bytes;
    ASSERT_EQ(frame_, frame_of(bytes, i));
  }
  EXPECT_EQ(reader_.read(&frame_), Read::kNothing);
}

TEST_F(CommandRingTest, WhatDoesNotFitIsNotWritten) {
  const auto frame = frame_of(1000);
  std::size_t written = 0;
  while (writer_.write(frame) == Written::kSeen) ++written;
  EXPECT_EQ(written, kCommandRingWords / words_of_frame(1000));
  EXPECT_EQ(writer_.write(frame_of(kCommandRingWords * sizeof(std::uint64_t))), Written::kNoRoom);
  EXPECT_EQ(reader_.read(&frame_), Read::kFrame);
  EXPECT_EQ(writer_.write(frame), Written::kSeen) << "there is room again";
  for (std::size_t i = 0; i < written; ++i) {
    ASSERT_EQ(reader_.read(&frame_), Read::kFrame);
    ASSERT_EQ(frame_, frame);
  }
  EXPECT_EQ(reader_.read(&frame_), Read::kNothing);
}

TEST_F(CommandRingTest, AReaderFallsAsleepOnlyWhereNothingIsLeft) {
  EXPECT_TRUE(reader_.fall_asleep());
  EXPECT_EQ(writer_.write(frame_of(8)), Written::kUnseen);
  EXPECT_FALSE(reader_.fall_asleep());
  EXPECT_EQ(writer_.write(frame_of(8)), Written::kSeen) << "it is awake again";
}

TEST_F(CommandRingTest, AnotherReaderBeginsAtTheEnd) {
  writer_.write(frame_of(100));
  RingReader next = RingReader::at_end(ring_);
  EXPECT_FALSE(next.has_more());
  writer_.write(frame_of(50, 9));
  ASSERT_EQ(next.read(&frame_), Read::kFrame);
  EXPECT_EQ(frame_, frame_of(50, 9));
}

TEST_F(CommandRingTest, LengthsAndPositionsThatNoWriterLeavesAreMalformed) {
  for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{17}, std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
    ring_.words[0].store(length);
    ring_.tail->store(3);  // room for 16 bytes
    EXPECT_EQ(reader_.read(&frame_), Read::kMalformed) << length;
  }
  ring_.words[0].store(8);
  for (const std::uint64_t tail : {std::uint64_t{1}, std::uint64_t{kCommandRingWords + 1}, ~std::uint64_t{0}}) {
    ring_.tail->store(tail);
    EXPECT_EQ(reader_.read(&frame_), Read::kMalformed) << tail;
  }
}

TEST_F(CommandRingTest, AWriterGoesByItsOwnCountWhateverTheReaderSays) {
  for (const std::uint64_t head : {std::uint64_t{1}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    ring_.head->store(head);
    ring_.tail->store(12345);
    const auto written = writer_.write(frame_of(64));
    EXPECT_EQ(written, head == ~std::uint64_t{0} ? Written::kSeen : Written::kNoRoom) << head;
  }
}

TEST_F(CommandRingTest, ArbitraryWordsAreReadWithinTheRing) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    const std::uint64_t at = random() % kCommandRingWords;
    ring_.words[at].store(random() >> random() % 64);
    ring_.tail->store(ring_.head->load() + (random() >> random() % 64));
    if (reader_.read(&frame_) == Read::kFrame) EXPECT_LT(frame_.size(), kCommandRingWords * sizeof(std::uint64_t));
  }
}

}  // namespace
}  // namespace tensorbroker
