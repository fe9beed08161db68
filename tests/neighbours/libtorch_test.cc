// tensorbroker/libtorch.h against libtorch: the same memory, the same geometry, the same types, each kept by the other.

#include <gtest/gtest.h>
#include <tensorbroker/libtorch.h>
#include <tensorbroker/tensorbroker.h>

#include <array>
#include <thread>
#include <vector>

#include "tests/support/broker_process.h"

namespace tensorbroker {
namespace {

class Libtorch : public testing::Test {
 protected:
  test::BrokerProcess broker_;
  Client client_ = broker_.connect();
};

std::vector<std::int64_t> list(at::IntArrayRef values) { return values.vec(); }

TEST_F(Libtorch, AMutableTensorIsTheSameMemory) {
  const Tensor shared = client_.zeros({2, 3}, kFloat32, "x");
  const at::Tensor other = to_torch(shared);
  EXPECT_EQ(other.data_ptr(), shared.data());
  other.fill_(4);
  EXPECT_EQ(client_.get("x").const_data_ptr<float>()[5], 4);
  const at::Tensor view = to_torch(shared.t().narrow(0, 1, 2));
  EXPECT_EQ(list(view.sizes()), (std::vector<std::int64_t>{2, 2}));
  EXPECT_EQ(list(view.strides()), (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(view.data_ptr(), shared.data_ptr<float>() + 1);
}

TEST_F(Libtorch, WritesToASealedOneAreHarmless) {
  for (const std::int64_t size : {4L, 1L << 16}) {  // copied, and mapped
    const std::vector<float> values(static_cast<std::size_t>(size), 1.0f);
    const Tensor sealed = client_.put("x", from_blob(values.data(), std::array{size}, kFloat32));
    const at::Tensor mine = to_torch(sealed);
    mine.fill_(7);
    EXPECT_EQ(sealed.const_data_ptr<float>()[3], 1);
    EXPECT_EQ(client_.get("x").const_data_ptr<float>()[size - 1], 1);
  }
}

TEST_F(Libtorch, EveryDtypeThereAndBack) {
  std::array<std::byte, 64> bytes{};
  for (const DTypeInfo& row : all_dtypes()) {
    const Tensor tensor = from_blob(bytes.data(), {2, 2}, row.dtype);
    const at::Tensor other = to_torch(tensor);
    EXPECT_EQ(other.element_size(), row.itemsize) << row.name;
    const Tensor back = from_torch(other);
    EXPECT_EQ(back.dtype(), row.dtype) << row.name;
    EXPECT_EQ(back.const_data(), bytes.data());
  }
}

TEST_F(Libtorch, ItsTypesAreTypesOfElements) {
  const at::Tensor halves = at::from_blob(std::array<at::BFloat16, 2>{1.5, 2.5}.data(), {2}, at::kBFloat16).clone();
  const Tensor put = client_.put("x", from_torch(halves));
  EXPECT_EQ(put.const_data_ptr<at::BFloat16>()[1], at::BFloat16(2.5f));
  EXPECT_EQ(put.span<const at::BFloat16>().size(), 2u);
  EXPECT_THROW(put.const_data_ptr<at::Half>(), TypeError);
}

TEST_F(Libtorch, FromTorchIsTheSameMemoryAndKeepsIt) {
  at::Tensor other = at::from_blob(std::array<float, 6>{0, 1, 2, 3, 4, 5}.data(), {2, 3}).clone();
  const void* data = other.data_ptr();
  const Tensor tensor = from_torch(other.t());
  other.reset();
  EXPECT_EQ(tensor.const_data(), data);
  EXPECT_EQ((tensor.accessor<float, 2>()[2][1]), 5);
  EXPECT_EQ(tensor.stride(1), 3);
}

TEST_F(Libtorch, FromTorchRefusesWhatIsNoPlainMemory) {
  EXPECT_THROW(from_torch(at::Tensor()), TypeError);
  const at::Tensor complex = at::from_blob(std::array<float, 2>{1, 2}.data(), {1}, at::kComplexFloat).clone();
  EXPECT_THROW(from_torch(complex.conj()), TypeError);
  EXPECT_THROW(from_torch(complex.to(at::kMeta)), TypeError);
  EXPECT_THROW(from_torch(complex.to_sparse()), TypeError);
}

TEST_F(Libtorch, WithoutDimensionsOrElements) {
  float five = 5;
  EXPECT_EQ(to_torch(from_blob(&five, {}, kFloat32)).item<float>(), 5);
  EXPECT_EQ(list(to_torch(from_blob(&five, {0, 3}, kFloat32)).sizes()), (std::vector<std::int64_t>{0, 3}));
  EXPECT_EQ(from_torch(to_torch(from_blob(&five, {0, 3}, kFloat32))).size(1), 3);
}

TEST_F(Libtorch, KeepsTheMemoryAfterTensorNameAndClientAreGone) {
  const std::vector<float> values(1 << 16, 3.0f);
  at::Tensor part = to_torch(client_.put("x", from_blob(values.data(), {1 << 16}, kFloat32))).narrow(0, 9, 100);
  client_.remove("x");
  client_.close();
  client_ = broker_.connect();
  EXPECT_EQ(part[50].item<float>(), 3);
  EXPECT_GE(client_.stats().retired, 4u << 16);
  std::thread([last = std::move(part)] {}).join();
  EXPECT_TRUE(test::eventually([&] { return client_.stats().retired == 0; }));
}

}  // namespace
}  // namespace tensorbroker
