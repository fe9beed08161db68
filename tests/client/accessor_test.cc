// Typed access: spans over contiguous elements, accessors by indices.

#include <gtest/gtest.h>
#include <tensorbroker/tensorbroker.h>

#include <array>
#include <complex>
#include <numeric>
#include <type_traits>

namespace tensorbroker {
namespace {

class Access : public testing::Test {
 protected:
  Access() { std::iota(values_.begin(), values_.end(), 0.0f); }

  std::array<float, 6> values_{};
  const Tensor matrix_ = from_blob(values_.data(), {2, 3}, kFloat32);
  const Tensor constant_ = from_blob(static_cast<const void*>(values_.data()), {2, 3}, kFloat32);
};

TEST_F(Access, ASpanIsTheTensorsMemory) {
  const std::span<const float> read = matrix_.span<const float>();
  EXPECT_EQ(read.data(), values_.data());
  EXPECT_EQ(read.size(), 6u);
  matrix_.span<float>()[4] = 40;
  EXPECT_EQ(values_[4], 40);
  EXPECT_EQ(matrix_.select(0, 1).span<const float>().data(), values_.data() + 3);
  EXPECT_EQ(matrix_.view({6}).narrow(0, 2, 0).span<const float>().size(), 0u);
}

TEST_F(Access, ASpanOfATensorWithoutDimensionsHasOneElement) {
  EXPECT_EQ(matrix_[1][2].span<const float>().size(), 1u);
  EXPECT_EQ(matrix_[1][2].span<const float>()[0], 5);
}

TEST_F(Access, ASpanWantsContiguousElementsAndSaysWhatToUse) {
  try {
    matrix_.t().span<const float>();
    FAIL();
  } catch (const RuntimeError& error) {
    EXPECT_NE(std::string(error.what()).find("strides [1, 3]: use accessor<T, 2>()"), std::string::npos)
        << error.what();
  }
}

TEST_F(Access, AnAccessorFollowsTheStrides) {
  const Tensor transposed = matrix_.t();
  const auto at = transposed.accessor<const float, 2>();
  for (std::int64_t i = 0; i < at.size(0); ++i) {
    for (std::int64_t j = 0; j < at.size(1); ++j) EXPECT_EQ(at[i][j], values_[static_cast<std::size_t>(3 * j + i)]);
  }
  EXPECT_EQ(&at[1][1], values_.data() + 4);
  EXPECT_EQ(at[2].stride(0), 3);
  EXPECT_EQ(at.sizes()[0], 3);
  EXPECT_EQ(at.strides()[1], 3);
  static_assert(std::is_same_v<decltype(at[0][0]), const float&>);
}

TEST_F(Access, AnAccessorWrites) {
  const auto at = matrix_.accessor<float, 2>();
  at[1][0] = 30;
  EXPECT_EQ(values_[3], 30);
  const Tensor cube = matrix_.unsqueeze(1);
  EXPECT_EQ((cube.accessor<float, 3>()[1][0][0]), 30);
}

TEST_F(Access, ChecksDtypeDimensionsAndPermission) {
  EXPECT_THROW((matrix_.accessor<double, 2>()), TypeError);
  EXPECT_THROW(matrix_.span<std::int32_t>(), TypeError);
  EXPECT_THROW((constant_.accessor<float, 2>()), ReadOnlyError);
  EXPECT_THROW(constant_.span<float>(), ReadOnlyError);
  EXPECT_EQ(constant_.span<const float>().data(), values_.data());
  try {
    matrix_.accessor<float, 3>();
    FAIL();
  } catch (const RuntimeError& error) {
    EXPECT_STREQ(error.what(), "an accessor of 3 dimensions was asked for, and the tensor of sizes [2, 3] has 2");
  }
}

TEST_F(Access, OfStridedMemoryOfTheCallers) {
  const std::array<std::int64_t, 2> sizes{2, 2};
  const std::array<std::int64_t, 2> strides{3, 2};
  const Tensor corners = from_blob(values_.data(), sizes, strides, kFloat32);
  EXPECT_EQ((corners.accessor<const float, 2>()[1][1]), 5);
  EXPECT_FALSE(corners.is_contiguous());
  const std::array<std::int64_t, 2> negative{-3, 1};
  const std::array<std::int64_t, 1> few{1};
  EXPECT_THROW(from_blob(values_.data(), sizes, negative, kFloat32), InvalidArgumentError);
  EXPECT_THROW(from_blob(values_.data(), sizes, few, kFloat32), InvalidArgumentError);
  const std::array<std::int64_t, 2> far{std::int64_t{1} << 62, 1};
  EXPECT_THROW(from_blob(values_.data(), sizes, far, kFloat32), RuntimeError);
  const std::array<std::int64_t, 2> one{1, 2};
  EXPECT_EQ(from_blob(values_.data(), one, negative, kFloat32).stride(0), 1);  // nobody steps over it
}

}  // namespace
}  // namespace tensorbroker
