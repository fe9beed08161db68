// Many puts with one message for a number of them.

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

class PutMany : public WithBroker {
 protected:
  // Tensors of one element, their number, with names in the order of their numbers.
  static std::vector<Bundle::Member> numbered(int count, float first = 0, const std::string& prefix = "n/") {
    std::vector<Bundle::Member> tensors;
    for (int i = 0; i < count; ++i) {
      const std::string digits = std::to_string(1000 + i);
      tensors.emplace_back(prefix + digits, counting({1}, first + static_cast<float>(i)));
    }
    return tensors;
  }
};

TEST_F(PutMany, EachIsFoundUnderItsName) {
  const auto tensors = numbered(100);
  const std::vector<Tensor> put = client_.put_many(tensors, {}, {.overwrite = true, .metadata = R"({"step": 7})"});
  ASSERT_EQ(put.size(), 100u);
  for (std::size_t i = 0; i < put.size(); ++i) {
    const Tensor got = client_.get(tensors[i].first);
    EXPECT_EQ(values(got), std::vector<float>{static_cast<float>(i)});
    EXPECT_EQ(got.version(), put[i].version());
    EXPECT_EQ(got.metadata(), R"({"step": 7})");
    EXPECT_TRUE(put[i].is_sealed());
    if (i == 0) continue;
    EXPECT_GT(put[i].version(), put[i - 1].version()) << "in the order in which they are given";
  }
}

TEST_F(PutMany, ANameThatComesTwiceHasTheLastOfThem) {
  const std::vector<Tensor> put =
      client_.put_many(std::vector<Bundle::Member>{{"w", counting({2}, 1)}, {"w", counting({2}, 5)}});
  EXPECT_EQ(values(client_.get("w")), (std::vector<float>{5, 6}));
  EXPECT_EQ(values(put[0]), (std::vector<float>{1, 2})) << "who holds the old version keeps it";
}

TEST_F(PutMany, TheLastOfANameWinsAcrossMessages) {
  auto tensors = numbered(64);
  tensors[31] = {"w", counting({1}, 1)};
  tensors[32] = {"w", counting({1}, 2)};
  for (int i = 0; i < 500; ++i) {
    client_.put("a burst", counting({1}));  // so that the broker looks at the ring
    client_.put_many(tensors);
    ASSERT_EQ(values(client_.get("w")), std::vector<float>{2}) << i;
  }
}

TEST_F(PutMany, OfNothingIsNothing) { EXPECT_TRUE(client_.put_many({}).empty()); }

TEST_F(PutMany, ConvertsAndKeepsStrides) {
  const std::vector<Bundle::Member> tensors{{"a", counting({2, 3}).t()}, {"empty", counting({0, 3})}};
  const std::vector<Tensor> put = client_.put_many(tensors, kFloat64);
  EXPECT_EQ(put[0].dtype(), kFloat64);
  EXPECT_EQ(put[0].strides()[0], 1);
  EXPECT_EQ(put[1].numel(), 0);
}

TEST_F(PutMany, TensorsOfAnySizeShareACall) {
  std::vector<Bundle::Member> tensors;
  for (int i = 0; i < 40; ++i) tensors.emplace_back("s/" + std::to_string(i), counting({1 << (i % 20)}, 3));
  const std::vector<Tensor> put = client_.put_many(tensors);
  for (std::size_t i = 0; i < put.size(); ++i) EXPECT_EQ(values(put[i]), values(tensors[i].second)) << i;
}

TEST_F(PutMany, WhatIsWrongAtFirstSightPublishesNothing) {
  auto tensors = numbered(50);
  tensors.emplace_back("", counting({1}));
  EXPECT_THROW(client_.put_many(tensors), InvalidArgumentError);
  tensors.back() = {"undefined", Tensor()};
  EXPECT_NE(refusal<InvalidArgumentError>([&] { client_.put_many(tensors); }).find("'undefined'"), std::string::npos);
  EXPECT_EQ(client_.stats().tensors, 0u);
}

TEST_F(PutMany, OfATakenNamePublishesNothing) {
  client_.put("n/1070", counting({1}, -1));
  const std::string text =
      refusal<ExistsError>([&] { client_.put_many(numbered(100), {}, {.overwrite = false, .metadata = {}}); });
  EXPECT_NE(text.find("'n/1070'"), std::string::npos) << text;
  EXPECT_EQ(values(client_.get("n/1070")), std::vector<float>{-1});
  EXPECT_EQ(client_.stats().tensors, 1u);
}

// The client finds none of the two taken; the broker does.
TEST_F(PutMany, WhatTheBrokerRefusesIsSaidByItsName) {
  const std::vector<Bundle::Member> twice{{"a", counting({1}, 1)}, {"b", counting({1}, 2)}, {"a", counting({1}, 3)}};
  const std::string text =
      refusal<ExistsError>([&] { client_.put_many(twice, {}, {.overwrite = false, .metadata = {}}); });
  EXPECT_EQ(text.find("'a': "), 0u) << text;
  EXPECT_EQ(values(client_.get("a")), std::vector<float>{1});
  EXPECT_EQ(values(client_.get("b")), std::vector<float>{2});
  client_.put("a", counting({1}, 9));
}

TEST_F(PutMany, WhereMemoryRunsOutNothingIsLost) {
  const std::uint64_t capacity = client_.stats().capacity;
  std::vector<Bundle::Member> tensors = numbered(70);
  static std::vector<std::uint8_t> large(capacity);
  tensors.emplace_back("large", from_blob(large.data(), {static_cast<std::int64_t>(capacity) + 1}, kUInt8));
  EXPECT_THROW(client_.put_many(tensors), OutOfMemoryError);
  EXPECT_TRUE(client_.exists("n/1000"));
  for (const Info& info : client_.list()) client_.remove(info.name);
  EXPECT_TRUE(test::eventually([&] { return client_.stats().live == 0 && client_.stats().retired == 0; }));
}

TEST_F(PutMany, ReplacedVersionsTakeTheSamePagesAgain) {
  const auto tensors = numbered(200);
  for (int i = 0; i < 5; ++i) client_.put_many(tensors);
  const std::uint64_t used = client_.stats().used;
  for (int i = 0; i < 200; ++i) client_.put_many(tensors);
  EXPECT_EQ(client_.stats().used, used);
}

TEST_F(PutMany, ThreadsThatPutManyLeaveEachOtherRoom) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      const std::string prefix = "t" + std::to_string(t) + "/";
      for (int i = 0; i < 10; ++i) client_.put_many(numbered(150, static_cast<float>(i), prefix));
      client_.put(prefix + "end", counting({1}));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < 8; ++t)
    EXPECT_EQ(values(client_.get("t" + std::to_string(t) + "/1149")), std::vector<float>{158});
}

TEST_F(PutMany, IsRepeatedOnceAfterABrokerWasKilled) {
  client_.put_many(numbered(10));
  std::atomic<bool> done = false;
  std::thread putting([&] {
    for (int i = 0; !done.load(); ++i) client_.put_many(numbered(100, static_cast<float>(i)));
  });
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    broker_.end(SIGKILL);
    broker_.start();
  }
  done = true;
  putting.join();
  std::uint64_t before = 0;
  float first = values(client_.get("n/1000"))[0];
  for (const auto& [name, tensor] : numbered(100)) {
    const Tensor got = client_.get(name);
    EXPECT_EQ(values(got), std::vector<float>{first++});
    EXPECT_GT(got.version(), before) << name;
    before = got.version();
  }
  EXPECT_EQ(client_.stats().tensors, 100u);
}

TEST_F(PutMany, AClosedClientRefuses) {
  client_.close();
  EXPECT_THROW(client_.put_many(numbered(1)), ClosedError);
}

}  // namespace
}  // namespace tensorbroker
