#include "client/bundle_layout.h"

#include <gtest/gtest.h>
#include <tensorbroker/error.h>

#include <cstring>
#include <numeric>
#include <vector>

namespace tensorbroker {
namespace {

class BundleLayoutTest : public testing::Test {
 protected:
  BundleLayoutTest() { std::iota(values_.begin(), values_.end(), 0.0f); }

  Tensor matrix(std::int64_t rows, std::int64_t columns) {
    return from_blob(values_.data(), {rows, columns}, kFloat32);
  }
  Tensor at(std::size_t begin, std::int64_t count) { return from_blob(values_.data() + begin, {count}, kFloat32); }

  // The layout of the members a, b, c ..., its specs checked by the protocol, its copies compared with the sources.
  BundleLayout lay_out(std::vector<Tensor> tensors) {
    std::vector<Bundle::Member> members;
    for (Tensor& t : tensors) members.emplace_back(std::string(1, static_cast<char>('a' + members.size())), t);
    BundleLayout layout = lay_out_bundle(members, {});
    const std::vector<std::byte> header = encode_header(layout.specs, {});
    EXPECT_NO_THROW(check_header(header, layout.bytes, true));
    std::vector<std::byte> block(layout.bytes);
    copy_bundle(members, layout, block.data());
    for (std::size_t i = 0; i < tensors.size(); ++i) expect_same(tensors[i], layout.specs[i], block.data());
    return layout;
  }

 private:
  static void expect_same(const Tensor& source, const TensorSpec& spec, const std::byte* block) {
    EXPECT_EQ(spec.dtype, source.dtype());
    EXPECT_TRUE(std::equal(spec.sizes.begin(), spec.sizes.end(), source.sizes().begin(), source.sizes().end()));
    std::vector<std::byte> want(source.nbytes());
    std::vector<std::byte> got(source.nbytes());
    copy_elements(source, contiguous(source.sizes()), source.dtype(), want.data());
    Geometry from{Dims(spec.sizes), Dims(spec.strides), 0};
    const Tensor copy = from_block(block + spec.offset, spec, from);
    if (source.numel() > 0) copy_elements(copy, contiguous(source.sizes()), copy.dtype(), got.data());
    EXPECT_EQ(std::memcmp(want.data(), got.data(), want.size()), 0) << "member " << spec.name;
  }

  static Geometry contiguous(std::span<const std::int64_t> sizes) {
    Geometry geometry{Dims(sizes), Dims(sizes.size(), 1), 0};
    for (std::size_t d = sizes.size(); d-- > 1;) {
      geometry.strides[d - 1] = geometry.strides[d] * std::max<std::int64_t>(sizes[d], 1);
    }
    return geometry;
  }

  static Tensor from_block(const std::byte* data, const TensorSpec& spec, const Geometry& geometry) {
    const Tensor whole = from_blob(static_cast<const void*>(data), {0}, spec.dtype);
    return Tensor(whole.storage(), const_cast<std::byte*>(data), spec.dtype, geometry);
  }

 protected:
  std::vector<float> values_ = std::vector<float>(4096);
};

TEST_F(BundleLayoutTest, SeparateMembersBeginOn256InTheirOrder) {
  const BundleLayout layout = lay_out({at(100, 3), at(0, 65), at(200, 1)});
  EXPECT_EQ(layout.specs[0].offset, 0u);
  EXPECT_EQ(layout.specs[1].offset, 256u);
  EXPECT_EQ(layout.specs[2].offset, 768u);
  EXPECT_EQ(layout.bytes, 772u);
}

TEST_F(BundleLayoutTest, NeighboursInOneBufferAreNotTied) {
  const BundleLayout layout = lay_out({at(0, 4), at(4, 4)});
  EXPECT_EQ(layout.specs[1].offset, 256u);
}

TEST_F(BundleLayoutTest, TheSameTensorTwiceIsStoredOnce) {
  const BundleLayout layout = lay_out({matrix(4, 4), at(100, 4), matrix(4, 4)});
  EXPECT_EQ(layout.specs[0].offset, layout.specs[2].offset);
  EXPECT_EQ(layout.bytes, 256u + 16u);
  EXPECT_EQ(layout.copied, (std::vector<bool>{true, true, false}));
  EXPECT_EQ(layout.specs[2].name, "c");
}

TEST_F(BundleLayoutTest, AMatrixAndItsTransposeAreStoredOnce) {
  const BundleLayout layout = lay_out({matrix(3, 5), matrix(3, 5).t()});
  EXPECT_EQ(layout.specs[0].offset, layout.specs[1].offset);
  EXPECT_EQ(layout.specs[1].strides, (std::vector<std::int64_t>{1, 5}));
  EXPECT_EQ(layout.bytes, 60u);
}

TEST_F(BundleLayoutTest, ASliceLiesInTheWhole) {
  const BundleLayout layout = lay_out({matrix(4, 8).narrow(0, 2, 1), matrix(4, 8)});
  EXPECT_EQ(layout.specs[0].offset, layout.specs[1].offset + 64);
  EXPECT_EQ(layout.bytes, 128u);
  EXPECT_EQ(layout.copied, (std::vector<bool>{false, true}));
}

TEST_F(BundleLayoutTest, PartlyOverlappingMembersStayTied) {
  const BundleLayout layout = lay_out({at(0, 10), at(5, 10)});
  EXPECT_EQ(layout.specs[1].offset, 20u);
  EXPECT_EQ(layout.bytes, 60u);
}

TEST_F(BundleLayoutTest, ColumnsOfALargeMatrixDoNotDragItAlong) {
  const BundleLayout layout = lay_out({matrix(40, 100).select(1, 0), matrix(40, 100).select(1, 1)});
  EXPECT_EQ(layout.bytes, 256u + 160u);
  EXPECT_EQ(layout.specs[0].strides, (std::vector<std::int64_t>{1}));
}

TEST_F(BundleLayoutTest, TiesOfTheSameColumnSurviveThere) {
  const Tensor column = matrix(40, 100).select(1, 0);
  const BundleLayout layout = lay_out({column, matrix(40, 100).select(1, 1), column});
  EXPECT_EQ(layout.specs[0].offset, layout.specs[2].offset);
  EXPECT_EQ(layout.bytes, 256u + 160u);
}

TEST_F(BundleLayoutTest, StridesAreKeptWhereDenseOnly) {
  const BundleLayout layout =
      lay_out({matrix(3, 5).t(), at(1000, 1).expand(std::vector<std::int64_t>{7}), matrix(30, 50).slice(1, 20, 50, 2)});
  EXPECT_EQ(layout.specs[0].strides, (std::vector<std::int64_t>{1, 5}));
  EXPECT_EQ(layout.specs[1].strides, (std::vector<std::int64_t>{1}));
  EXPECT_EQ(layout.specs[2].strides, (std::vector<std::int64_t>{15, 1}));
}

TEST_F(BundleLayoutTest, MembersWithoutElementsTakeNoBytes) {
  const BundleLayout layout = lay_out({at(0, 0), matrix(2, 2), matrix(0, 7)});
  EXPECT_EQ(layout.bytes, 16u);
  EXPECT_EQ(layout.specs[2].sizes, (std::vector<std::int64_t>{0, 7}));
}

TEST_F(BundleLayoutTest, NoMembersNoBytes) { EXPECT_EQ(lay_out({}).bytes, 0u); }

TEST_F(BundleLayoutTest, AnotherDtypeOfTheSameBytesIsTiedWhereAligned) {
  const Tensor raw = from_blob(reinterpret_cast<std::byte*>(values_.data()) + 1, {8}, kUInt8);
  const BundleLayout aligned = lay_out({at(0, 4), from_blob(values_.data(), {16}, kUInt8)});
  EXPECT_EQ(aligned.bytes, 16u);
  const BundleLayout shifted = lay_out({raw, at(1, 4)});
  EXPECT_EQ(shifted.specs[1].offset % 4, 0u);
}

TEST_F(BundleLayoutTest, UndefinedMembersAreRefusedByName) {
  const std::vector<Bundle::Member> members{{"weight", Tensor()}};
  EXPECT_THROW(lay_out_bundle(members, {}), InvalidArgumentError);
}

}  // namespace
}  // namespace tensorbroker
