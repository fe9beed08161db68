#include "broker/plain_reply.h"

#include <gtest/gtest.h>

#include <array>

#include "broker/reply.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kGeneration = 0xfedcba9876543211;

const schema::ReplyMessage& verified(std::span<const std::byte> bytes) {
  const auto* const data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  flatbuffers::Verifier verifier(data, bytes.size());
  EXPECT_TRUE(verifier.VerifyBuffer<schema::ReplyMessage>(nullptr));
  return *flatbuffers::GetRoot<schema::ReplyMessage>(data);
}

TEST(PlainReply, Done) {
  std::vector<std::byte> bytes;
  for (const std::uint64_t sequence : {std::uint64_t{7}, std::uint64_t{0}, ~std::uint64_t{0}}) {
    write_done(sequence, &bytes);
    const auto& message = verified(bytes);
    EXPECT_EQ(message.sequence(), sequence);
    ASSERT_EQ(message.items()->size(), 1u);
    EXPECT_NE(message.items()->Get(0)->body_as_Done(), nullptr);
    EXPECT_EQ(message.items()->Get(0)->error(), 0);
  }
}

TEST(PlainReply, Published) {
  std::vector<std::byte> bytes;
  for (const EntryId spare : {EntryId{0}, EntryId{12345}, kNoEntry}) {
    write_published(9, kGeneration, spare, &bytes);
    const auto& message = verified(bytes);
    EXPECT_EQ(message.sequence(), 9u);
    ASSERT_EQ(message.items()->size(), 1u);
    const auto* const published = message.items()->Get(0)->body_as_Published();
    ASSERT_NE(published, nullptr);
    EXPECT_EQ(published->generation(), kGeneration);
    EXPECT_EQ(published->spare(), spare);
  }
}

TEST(PlainReply, AmongOthersInAnyOrder) {
  std::vector<std::byte> sent;
  Reply reply([&](std::span<const std::byte> message, const std::vector<SegmentFile>&, Transport) {
    sent.assign(message.begin(), message.end());
  });
  for (const std::array<std::size_t, 3>& order : {std::array<std::size_t, 3>{0, 1, 2}, {2, 1, 0}, {1, 2, 0}}) {
    reply.begin(5, 3, Transport::kRing);
    for (const std::size_t item : order) {
      if (item == 0) reply.set_published(0, kGeneration, 1);
      if (item == 1) reply.set(1, {.error = ErrorCode::kExists, .message = "taken"});
      if (item == 2) reply.set_published(2, kGeneration + 2, kNoEntry);
    }
    const auto& items = *verified(sent).items();
    ASSERT_EQ(items.size(), 3u);
    EXPECT_EQ(items.Get(0)->body_as_Published()->generation(), kGeneration);
    EXPECT_EQ(items.Get(0)->body_as_Published()->spare(), 1u);
    EXPECT_EQ(items.Get(1)->message()->str(), "taken");
    EXPECT_EQ(items.Get(2)->body_as_Published()->generation(), kGeneration + 2);
    EXPECT_EQ(items.Get(2)->body_as_Published()->spare(), kNoEntry);
  }
}

}  // namespace
}  // namespace tensorbroker::broker
