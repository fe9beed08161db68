// Sealed tensors: put, get, replace, delete.

#include <thread>

#include "client/registry.h"
#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

using PutGet = WithBroker;

TEST_F(PutGet, APutTensorIsFoundByNameWithTheSameBytes) {
  const Tensor put = client_.put("w", counting({2, 3}), {.overwrite = true, .metadata = R"({"step": 7})"});
  const Tensor got = client_.get("w");
  EXPECT_EQ(values(got), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(got.name(), "w");
  EXPECT_EQ(got.metadata(), R"({"step": 7})");
  EXPECT_EQ(got.version(), put.version());
  EXPECT_TRUE(got.is_sealed());
  EXPECT_EQ(got.const_data(), put.const_data()) << "one place, mapped once";
}

TEST_F(PutGet, ASealedTensorCannotBeWritten) {
  client_.put("w", counting({4}));
  EXPECT_THROW(client_.get("w").data_ptr<float>(), ReadOnlyError);
  EXPECT_THROW(client_.open("w", OpenMode::kReadWrite), ReadOnlyError);
  EXPECT_THROW(client_.get("w").const_data_ptr<double>(), TypeError);
}

TEST_F(PutGet, EveryDtypeSurvives) {
  std::vector<std::uint8_t> bytes(64);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{1});
  for (const DTypeInfo& dtype : all_dtypes()) {
    client_.put("d", from_blob(static_cast<const void*>(bytes.data()), {4}, dtype.dtype));
    const Tensor got = client_.get("d");
    EXPECT_EQ(got.dtype(), dtype.dtype);
    EXPECT_EQ(std::memcmp(got.const_data(), bytes.data(), 4 * dtype.itemsize), 0) << dtype.name;
  }
}

TEST_F(PutGet, StridesOfADenseSourceAreKept) {
  const Tensor source = counting({2, 3}).t();
  const Tensor got = client_.put("t", source);
  EXPECT_EQ(std::vector<std::int64_t>(got.strides().begin(), got.strides().end()), (std::vector<std::int64_t>{1, 3}));
  const Tensor sparse = client_.put("s", counting({4, 4}).slice(1, 0, 4, 2));
  EXPECT_TRUE(sparse.is_contiguous());
  EXPECT_EQ(values(sparse), (std::vector<float>{0, 2, 4, 6, 8, 10, 12, 14}));
}

TEST_F(PutGet, ScalarsAndTensorsWithoutElements) {
  EXPECT_EQ(values(client_.put("scalar", counting({}, 5))), std::vector<float>{5});
  const Tensor empty = client_.put("empty", counting({0, 3}));
  EXPECT_EQ(client_.get("empty").numel(), 0);
  EXPECT_EQ(empty.to_string(), "tensor([], size=(0, 3))");
}

TEST_F(PutGet, ReplacingSwapsWholeVersions) {
  const Tensor first = client_.put("w", counting({1000}, 1));
  const Tensor second = client_.put("w", counting({1000}, 2));
  EXPECT_GT(second.version(), first.version());
  EXPECT_EQ(client_.get("w").version(), second.version());
  EXPECT_EQ(values(first)[999], 1000) << "who holds the old version keeps it";
  EXPECT_THROW(client_.put("w", counting({1}), {.overwrite = false, .metadata = {}}), ExistsError);
}

TEST_F(PutGet, DeletingInUseLeavesItToItsHolders) {
  Tensor held = client_.put("w", counting({100}, 3));
  client_.remove("w");
  EXPECT_FALSE(client_.exists("w"));
  EXPECT_THROW(client_.get("w"), NotFoundError);
  EXPECT_THROW(client_.remove("w"), NotFoundError);
  for (int i = 0; i < 20; ++i) client_.put("other", counting({100}, 9));  // would overwrite what was freed
  EXPECT_EQ(values(held)[99], 102);
  EXPECT_GT(client_.stats().retired, 0u);
  held = Tensor();
  EXPECT_TRUE(test::eventually([&] { return client_.stats().retired == 0; })) << "the last holder let go";
}

TEST_F(PutGet, HandlesOpenTheSameTensor) {
  const Tensor put = client_.put("w", counting({4}));
  const std::string handle = put.handle();
  EXPECT_TRUE(handle.starts_with("tb://"));
  EXPECT_EQ(client_.open(handle).const_data(), put.const_data());
  const Tensor replaced = client_.put("w", counting({4}, 5));
  EXPECT_EQ(client_.open(handle).version(), put.version()) << "held, though no longer what the name means";
  const Tensor anonymous = client_.zeros({4});
  EXPECT_EQ(client_.open(anonymous.handle(), OpenMode::kReadWrite).data(), anonymous.data());
}

TEST_F(PutGet, AHandleWhoseTensorIsGoneIsNotFound) {
  const std::string handle = client_.put("w", counting({4})).handle();
  client_.put("w", counting({4}));
  EXPECT_TRUE(test::eventually([&] { return !refusal<NotFoundError>([&] { client_.open(handle); }).empty(); }));
}

TEST_F(PutGet, ManyReadersAgainstAWriterSeeWholeVersions) {
  constexpr int kVersions = 300;
  client_.put("w", counting({4096}, 0));
  std::atomic<bool> done{false};
  std::atomic<int> torn{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r) {
    readers.emplace_back([&] {
      std::uint64_t last = 0;
      while (!done.load()) {
        const Tensor w = client_.get("w");
        const float* p = w.const_data_ptr<float>();
        if (p[4095] - p[0] != 4095 || w.version() < last) ++torn;
        last = w.version();
      }
    });
  }
  for (int i = 1; i <= kVersions; ++i) client_.put("w", counting({4096}, static_cast<float>(i)));
  done.store(true);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn.load(), 0);
}

TEST_F(PutGet, MutableTensorsAliasTheSamePages) {
  Tensor counters = client_.zeros({4}, kInt64, "counters");
  EXPECT_THROW(client_.zeros({4}, kInt64, "counters"), ExistsError);
  Tensor again = client_.open("counters", OpenMode::kReadWrite);
  again.data_ptr<std::int64_t>()[2] = 42;
  EXPECT_EQ(counters.const_data_ptr<std::int64_t>()[2], 42);
  const Tensor reader = client_.get("counters");
  EXPECT_THROW(reader.data(), ReadOnlyError);
  counters.data_ptr<std::int64_t>()[0] = 1;
  EXPECT_EQ(reader.const_data_ptr<std::int64_t>()[0], 1);
}

TEST_F(PutGet, APrivateCopyChangesNobodyElsesBytes) {
  for (const std::int64_t n : {16, 100'000}) {
    client_.put("w", counting({n}));
    Tensor mine = client_.open("w", OpenMode::kCopyOnWrite);
    mine.data_ptr<float>()[1] = -1;
    EXPECT_EQ(client_.get("w").const_data_ptr<float>()[1], 1);
    EXPECT_EQ(mine.const_data_ptr<float>()[1], -1);
    EXPECT_EQ(mine.const_data_ptr<float>()[n - 1], static_cast<float>(n - 1));
  }
}

TEST_F(PutGet, TensorsOutliveTheirClient) {
  Tensor kept = client_.put("w", counting({8}));
  client_.close();
  EXPECT_EQ(values(kept)[7], 7);
  EXPECT_THROW(client_.get("w"), ClosedError);
  client_.close();
}

}  // namespace
}  // namespace tensorbroker
