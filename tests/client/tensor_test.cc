#include <gtest/gtest.h>
#include <tensorbroker/tensorbroker.h>

#include <array>
#include <complex>
#include <limits>
#include <numeric>
#include <sstream>
#include <thread>
#include <vector>

namespace tensorbroker {
namespace {

template <std::size_t kCount>
std::array<float, kCount> counting() {
  std::array<float, kCount> values;
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

std::vector<std::int64_t> list(std::span<const std::int64_t> values) { return {values.begin(), values.end()}; }

using Shape = std::vector<std::int64_t>;

TEST(Tensor, FromBlobAliasesTheCallersMemory) {
  auto values = counting<6>();
  const Tensor t = from_blob(values.data(), {2, 3}, kFloat32);
  EXPECT_EQ(t.data_ptr<float>(), values.data());
  EXPECT_EQ(t.const_data_ptr<float>(), values.data());
  EXPECT_EQ(list(t.sizes()), (Shape{2, 3}));
  EXPECT_EQ(list(t.strides()), (Shape{3, 1}));
  EXPECT_EQ(t.numel(), 6);
  EXPECT_EQ(t.dim(), 2);
  EXPECT_EQ(t.nbytes(), 24u);
  EXPECT_EQ(t.itemsize(), 4u);
  EXPECT_EQ(t.size(-1), 3);
  EXPECT_EQ(t.stride(0), 3);
  EXPECT_THROW(t.size(2), IndexError);
  EXPECT_THROW(t.stride(-3), IndexError);
  EXPECT_TRUE(t.is_contiguous());
  EXPECT_TRUE(t.is_writable());
  EXPECT_FALSE(t.is_sealed());
  EXPECT_FALSE(t.is_draft());
  EXPECT_EQ(t.version(), 0u);
  EXPECT_EQ(t.name(), "");
  EXPECT_EQ(t.metadata(), "{}");
}

TEST(Tensor, UndefinedIsNotDefined) {
  const Tensor none;
  EXPECT_FALSE(none.defined());
  Tensor assigned = from_blob(static_cast<const void*>(nullptr), {0}, kFloat32);
  assigned = none;
  EXPECT_FALSE(assigned.defined());
}

TEST(Tensor, ConstMemoryIsReadOnly) {
  const auto values = counting<4>();
  const Tensor t = from_blob(values.data(), {4}, kFloat32);
  EXPECT_EQ(t.const_data_ptr<float>(), values.data());
  EXPECT_FALSE(t.is_writable());
  EXPECT_THROW(t.data_ptr<float>(), ReadOnlyError);
  EXPECT_THROW(t.data(), ReadOnlyError);
}

TEST(Tensor, TypedPointersCheckTheDtype) {
  auto values = counting<4>();
  const Tensor t = from_blob(values.data(), {4}, kFloat32);
  EXPECT_THROW(t.const_data_ptr<double>(), TypeError);
  EXPECT_THROW(t.data_ptr<std::int32_t>(), TypeError);
  EXPECT_THROW(from_blob(values.data(), {4}, kBFloat16).const_data_ptr<std::int16_t>(), TypeError);
  EXPECT_THROW(from_blob(values.data(), {2}, kComplex64).const_data_ptr<float>(), TypeError);
  EXPECT_NO_THROW(from_blob(values.data(), {2}, kComplex64).const_data_ptr<std::complex<float>>());
  try {
    t.const_data_ptr<double>();
  } catch (const TypeError& error) {
    EXPECT_NE(std::string(error.what()).find("float64"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("float32"), std::string::npos) << error.what();
  }
}

TEST(Tensor, ViewsShareTheStorage) {
  auto values = counting<24>();
  const Tensor t = from_blob(values.data(), {2, 3, 4}, kFloat32);
  EXPECT_EQ(t.select(0, 1).data_ptr<float>(), values.data() + 12);
  EXPECT_EQ(t[1][2].data_ptr<float>(), values.data() + 20);
  EXPECT_EQ(t[-1].storage_offset(), 12);
  EXPECT_EQ(t.narrow(2, 1, 2).data_ptr<float>(), values.data() + 1);
  EXPECT_EQ(list(t.narrow(2, 1, 2).sizes()), (Shape{2, 3, 2}));
  EXPECT_EQ(list(t.slice(2, 1, std::nullopt, 2).strides()), (Shape{12, 4, 2}));
  EXPECT_EQ(list(t.view({6, -1}).sizes()), (Shape{6, 4}));
  EXPECT_EQ(list(t.transpose(0, 2).strides()), (Shape{1, 4, 12}));
  EXPECT_FALSE(t.transpose(0, 2).is_contiguous());
  EXPECT_EQ(list(t[0].t().sizes()), (Shape{4, 3}));
  EXPECT_EQ(list(t.permute({2, 0, 1}).sizes()), (Shape{4, 2, 3}));
  EXPECT_EQ(list(t.unsqueeze(1).sizes()), (Shape{2, 1, 3, 4}));
  EXPECT_EQ(list(t.unsqueeze(1).squeeze().sizes()), (Shape{2, 3, 4}));
  EXPECT_EQ(list(t.unsqueeze(1).squeeze(1).sizes()), (Shape{2, 3, 4}));
  EXPECT_EQ(list(t.unsqueeze(0).expand(Shape{5, 2, 3, 4}).strides()), (Shape{0, 12, 4, 1}));
  const std::vector<Index> indices{std::int64_t{1}, Ellipsis{}, NewAxis{}, Slice{0, 4, 3}};
  EXPECT_EQ(list(t.index(indices).sizes()), (Shape{3, 1, 2}));
  EXPECT_THROW(t.view({5, 5}), RuntimeError);
  EXPECT_THROW(t.select(0, 2), IndexError);
  EXPECT_THROW(t.t(), RuntimeError);
}

TEST(Tensor, WritesThroughAViewShowInTheWhole) {
  auto values = counting<6>();
  from_blob(values.data(), {2, 3}, kFloat32).t()[2].data_ptr<float>()[0] = 42;
  EXPECT_EQ(values[2], 42);
}

TEST(Tensor, ScalarsAndEmptyTensors) {
  float value = 1.5f;
  const Tensor scalar = from_blob(&value, std::span<const std::int64_t>{}, kFloat32);
  EXPECT_EQ(scalar.dim(), 0);
  EXPECT_EQ(scalar.numel(), 1);
  EXPECT_EQ(scalar.to_string(), "tensor(1.5000)");
  const Tensor empty = from_blob(static_cast<void*>(nullptr), {0, 3}, kInt64);
  EXPECT_EQ(empty.numel(), 0);
  EXPECT_EQ(empty.nbytes(), 0u);
  EXPECT_NO_THROW(empty.data_ptr<std::int64_t>());
}

TEST(Tensor, SizesAreChecked) {
  float value = 0;
  const std::int64_t huge = std::int64_t{1} << 62;
  EXPECT_THROW(from_blob(&value, {-1}, kFloat32), RuntimeError);
  EXPECT_THROW(from_blob(&value, {huge, 2}, kFloat32), RuntimeError);
  EXPECT_THROW(from_blob(&value, {huge}, kFloat32), RuntimeError);
  EXPECT_THROW(from_blob(&value, Shape(65, 1), kFloat32), InvalidArgumentError);
}

TEST(Tensor, DeleterRunsOnceWithTheLastView) {
  auto values = counting<6>();
  int deleted = 0;
  {
    Tensor view;
    {
      const Tensor t = from_blob(values.data(), Shape{2, 3}, kFloat32, [&](void* data) {
        EXPECT_EQ(data, values.data());
        ++deleted;
      });
      view = t.t()[1];
    }
    EXPECT_EQ(deleted, 0);
    std::thread([last = std::move(view)]() mutable { last = Tensor(); }).join();
    EXPECT_EQ(deleted, 1);
  }
  EXPECT_EQ(deleted, 1);
}

TEST(Tensor, RefusedSizesLeaveTheMemoryToTheCaller) {
  auto values = counting<6>();
  int deleted = 0;
  EXPECT_THROW(from_blob(values.data(), Shape{-1}, kFloat32, [&](void*) { ++deleted; }), RuntimeError);
  EXPECT_EQ(deleted, 0) << "the memory is still the caller's";
}

TEST(Tensor, ANullPointerIsForTensorsWithoutElements) {
  EXPECT_EQ(from_blob(nullptr, {0, 3}, kFloat32).size(1), 3);
  EXPECT_TRUE(from_blob(nullptr, Shape{0}, kFloat32).is_writable());
  EXPECT_EQ(from_blob(nullptr, Shape{0, 2}, Shape{2, 1}, kFloat32).numel(), 0);
  int deleted = 0;
  EXPECT_THROW(from_blob(nullptr, {2}, kFloat32), InvalidArgumentError);
  EXPECT_THROW(from_blob(nullptr, Shape{2}, kFloat32, [&](void*) { ++deleted; }), InvalidArgumentError);
  EXPECT_THROW(from_blob(static_cast<const void*>(nullptr), {}, kFloat32), InvalidArgumentError);
  EXPECT_EQ(deleted, 0);
}

TEST(Tensor, PrintsAsTorchDoes) {
  std::array<std::int64_t, 6> values{1, 2, 3, 4, 5, 6};
  std::ostringstream out;
  out << from_blob(values.data(), {2, 3}, kInt64);
  EXPECT_EQ(out.str(), "tensor([[1, 2, 3],\n        [4, 5, 6]])");
  EXPECT_EQ(from_blob(values.data(), {2, 3}, kInt64).t()[1].to_string(), "tensor([2, 5])");
}

TEST(Tensor, ForeignMemoryIsNoDraft) {
  float value = 0;
  Tensor t = from_blob(&value, {1}, kFloat32);
  EXPECT_THROW(t.publish(), RuntimeError);
  EXPECT_THROW(t.discard(), RuntimeError);
  EXPECT_THROW(t.handle(), RuntimeError);
}

}  // namespace
}  // namespace tensorbroker
