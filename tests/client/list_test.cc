#include <thread>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

using Listing = WithBroker;

TEST_F(Listing, SaysWhatIsThereSortedByName) {
  client_.put("b/2", counting({2, 3}), {.overwrite = true, .metadata = R"({"k": 1})"});
  client_.put("a", counting({1}));
  client_.put("b/10", counting({4}));
  client_.zeros({3}, kInt32, "b/counters");
  const std::vector<Info> all = client_.list();
  std::vector<std::string> names;
  for (const Info& info : all) names.push_back(info.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b/10", "b/2", "b/counters"}));
  EXPECT_EQ(client_.list("b/").size(), 3u);
  const Info& info = all[2];
  EXPECT_EQ(info.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(info.nbytes, 24u);
  EXPECT_EQ(info.metadata, R"({"k": 1})");
  EXPECT_EQ(info.version, client_.get("b/2").version());
  EXPECT_GT(info.created, 1.7e9);
  EXPECT_TRUE(all[3].is_mutable);
  EXPECT_EQ(client_.list("none").size(), 0u);
}

TEST_F(Listing, CountsHolders) {
  const Tensor held = client_.put("w", counting({1}));
  EXPECT_EQ(client_.holders(client_.list("w")[0]), 1u);
}

TEST_F(Listing, NeverMissesANameThatIsAlwaysThere) {
  for (int i = 0; i < 50; ++i) client_.put("fixed/" + std::to_string(i), counting({1}));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; !done.load(); ++i) {
      client_.put("fixed/" + std::to_string(i % 50), counting({1}));
      client_.put("passing/" + std::to_string(i), counting({1}));
      if (i >= 100) client_.remove("passing/" + std::to_string(i - 100));
    }
  });
  for (int round = 0; round < 200; ++round) ASSERT_EQ(client_.list("fixed/").size(), 50u) << "round " << round;
  done.store(true);
  writer.join();
}

}  // namespace
}  // namespace tensorbroker
