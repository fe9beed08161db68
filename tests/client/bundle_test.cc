#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

class BundleTest : public WithBroker {
 protected:
  static std::vector<std::string> names(const Bundle& bundle) {
    std::vector<std::string> found;
    for (const auto& [name, tensor] : bundle) found.push_back(name);
    return found;
  }
};

TEST_F(BundleTest, KeepsItsMembersInOrderUnderOneLease) {
  const std::vector<Bundle::Member> members = {
      {"z", counting({2, 2})}, {"a", counting({3}, 10)}, {"none", counting({0})}};
  client_.put_bundle("model", members, {.overwrite = true, .metadata = R"({"epoch": 3})"});
  const Bundle model = client_.get_bundle("model");
  EXPECT_EQ(names(model), (std::vector<std::string>{"z", "a", "none"}));
  EXPECT_EQ(values(model.at("a")), (std::vector<float>{10, 11, 12}));
  EXPECT_EQ(model.at("none").numel(), 0);
  EXPECT_EQ(model.metadata(), R"({"epoch": 3})");
  EXPECT_EQ(model.nbytes(), 28u);
  EXPECT_EQ(client_.stats().bundles, 1u);
  for (const auto& [name, tensor] : model) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.const_data()) % 256, 0u) << name;
  }
}

TEST_F(BundleTest, StoresTiedMembersOnce) {
  const Tensor shared = counting({1024});
  const std::vector<Bundle::Member> members = {
      {"encoder", shared}, {"decoder", shared}, {"head", shared.narrow(0, 512, 512)}};
  const Bundle tied = client_.put_bundle("tied", members);
  EXPECT_EQ(tied.at("encoder").const_data(), tied.at("decoder").const_data());
  EXPECT_EQ(tied.at("head").const_data_ptr<float>(), tied.at("encoder").const_data_ptr<float>() + 512);
  EXPECT_EQ(values(tied.at("head"))[0], 512);
  EXPECT_LE(client_.stats().live, 8192u);
}

TEST_F(BundleTest, ItsMembersOutliveIt) {
  const std::vector<Bundle::Member> members = {{"a", counting({1000}, 5)}};
  Tensor member = client_.put_bundle("b", members).at("a");
  client_.remove("b");
  for (int i = 0; i < 5; ++i) client_.put_bundle("b", members);
  EXPECT_EQ(values(member)[999], 1004);
}

TEST_F(BundleTest, ErrorsNameWhatIsMissing) {
  const std::vector<Bundle::Member> members = {{"a", counting({1})}};
  const Bundle bundle = client_.put_bundle("b", members);
  EXPECT_NE(refusal<NotFoundError>([&] { bundle.at("c"); }).find("'c'"), std::string::npos);
  EXPECT_THROW(client_.get("b"), RuntimeError) << "a bundle is no tensor";
  client_.put("t", counting({1}));
  EXPECT_THROW(client_.get_bundle("t"), RuntimeError);
  const std::vector<Bundle::Member> twice = {{"a", counting({1})}, {"a", counting({1})}};
  EXPECT_THROW(client_.put_bundle("b", twice), InvalidArgumentError);
}

TEST_F(BundleTest, ReplacesATensorOfTheSameName) {
  client_.put("x", counting({1}));
  const std::vector<Bundle::Member> members = {{"a", counting({1})}};
  client_.put_bundle("x", members);
  EXPECT_TRUE(std::holds_alternative<Bundle>(*client_.find_object("x")));
  EXPECT_EQ(client_.stats().tensors, 0u);
}

}  // namespace
}  // namespace tensorbroker
