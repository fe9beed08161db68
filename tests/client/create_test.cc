// Drafts: written in place, then published or discarded.

#include "client/registry.h"
#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

using Create = WithBroker;

TEST_F(Create, ADraftIsInvisibleUntilItIsPublished) {
  Tensor draft = client_.create("x", {4}, kFloat32, {.overwrite = true, .metadata = R"({"a": 1})"});
  EXPECT_TRUE(draft.is_draft());
  EXPECT_EQ(draft.name(), "x");
  EXPECT_EQ(draft.version(), 0u);
  EXPECT_FALSE(client_.exists("x"));
  std::iota(draft.data_ptr<float>(), draft.data_ptr<float>() + 4, 0.0F);
  const Tensor copy = draft;
  draft.publish();
  EXPECT_EQ(values(client_.get("x")), (std::vector<float>{0, 1, 2, 3}));
  EXPECT_EQ(client_.get("x").metadata(), R"({"a": 1})");
  EXPECT_EQ(draft.version(), client_.get("x").version());
  EXPECT_THROW(draft.data(), ReadOnlyError);
  EXPECT_THROW(copy.data(), ReadOnlyError) << "copies of the handle are closed to writing, too";
  EXPECT_THROW(draft.publish(), RuntimeError);
}

TEST_F(Create, ADiscardedDraftGivesItsMemoryBack) {
  Tensor draft = client_.create("x", {1 << 20}, kFloat32);
  const void* place = draft.data();
  draft.discard();
  EXPECT_THROW(draft.publish(), RuntimeError);
  EXPECT_EQ(client_.create("y", {1 << 20}, kFloat32).data(), place);
  EXPECT_FALSE(client_.exists("x"));
}

TEST_F(Create, ADroppedDraftGivesItsMemoryBack) {
  const void* place = client_.create("x", {1 << 20}, kFloat32).data();
  EXPECT_EQ(client_.create("x", {1 << 20}, kFloat32).data(), place);
}

TEST_F(Create, TwoDraftsOfOneNameReplaceOneAnother) {
  Tensor first = client_.create("x", {1}, kInt64);
  Tensor second = client_.create("x", {1}, kInt64);
  *first.data_ptr<std::int64_t>() = 1;
  *second.data_ptr<std::int64_t>() = 2;
  second.publish();
  first.publish();
  EXPECT_EQ(*client_.get("x").const_data_ptr<std::int64_t>(), 1);
  EXPECT_EQ(*second.const_data_ptr<std::int64_t>(), 2);
}

TEST_F(Create, ADraftThatMayNotReplaceStaysADraft) {
  client_.put("x", counting({1}));
  Tensor draft = client_.create("x", {1}, kFloat32, {.overwrite = false, .metadata = {}});
  *draft.data_ptr<float>() = 8;
  EXPECT_THROW(draft.publish(), ExistsError);
  EXPECT_TRUE(draft.is_draft());
  client_.remove("x");
  draft.publish();
  EXPECT_EQ(values(client_.get("x")), std::vector<float>{8});
}

TEST_F(Create, DraftsAreInUsedAndInNoListing) {
  const std::uint64_t before = client_.stats().used;
  const Tensor draft = client_.create("x", {8 << 20}, kUInt8);
  EXPECT_GE(client_.stats().used, before + (8 << 20));
  EXPECT_TRUE(client_.list().empty());
}

TEST_F(Create, ADraftOutlivesItsClientButCannotBePublishedThen) {
  Tensor draft = client_.create("x", {4}, kFloat32);
  client_.close();
  draft.data_ptr<float>()[0] = 1;
  EXPECT_THROW(draft.publish(), ClosedError);
}

TEST_F(Create, ADraftIsPublishedByTheClientThatMadeItAndNoOther) {
  Client other = broker_.connect();
  Tensor draft = other.create("x", {4}, kFloat32);
  other.close();
  EXPECT_THROW(draft.publish(), ClosedError) << "client_ is open, and not asked";
  EXPECT_TRUE(draft.is_draft());
}

// One without elements has no block, and one that was discarded has none any more.
TEST(Drafts, KeepWhatTheyNeedOfTheirInstanceAndNoMore) {
  const std::size_t mapped = attachments_mapped();
  const test::BrokerProcess broker;
  Tensor empty;
  Tensor discarded;
  {
    Client client = broker.connect();
    empty = client.create("empty", {0}, kFloat32);
    discarded = client.create("discarded", {100}, kFloat32);
    discarded.discard();
    client.close();
  }
  EXPECT_EQ(attachments_mapped(), mapped + 1) << "a draft is left";
  EXPECT_THROW(empty.publish(), ClosedError);
  EXPECT_EQ(empty.numel(), 0);
  empty = Tensor();
  EXPECT_EQ(attachments_mapped(), mapped);
  EXPECT_EQ(discarded.name(), "discarded");
  EXPECT_THROW(discarded.const_data(), ClosedError);
}

}  // namespace
}  // namespace tensorbroker
