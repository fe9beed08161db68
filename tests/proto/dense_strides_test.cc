#include "proto/dense_strides.h"

#include <gtest/gtest.h>

#include <vector>

namespace tensorbroker {
namespace {

TEST(CloneGeometry, DenseStridesAreKept) {
  EXPECT_EQ(clone_geometry({{3, 2}, {1, 3}, 5}), (Geometry{{3, 2}, {1, 3}, 0}));
  EXPECT_EQ(clone_geometry({{1, 3}, {5, 1}, 2}), (Geometry{{1, 3}, {5, 1}, 0}));
  EXPECT_EQ(clone_geometry({{0, 3}, {5, 7}, 0}), (Geometry{{0, 3}, {5, 7}, 0}));
}

TEST(CloneGeometry, OthersKeepTheOrderOfDimensions) {
  EXPECT_EQ(clone_geometry({{2, 3}, {8, 2}, 5}), (Geometry{{2, 3}, {3, 1}, 0}));
  EXPECT_EQ(clone_geometry({{3, 2, 2}, {4, 12, 2}, 0}), (Geometry{{3, 2, 2}, {2, 6, 1}, 0}));
  EXPECT_EQ(clone_geometry({{4, 3}, {0, 1}, 0}), (Geometry{{4, 3}, {3, 1}, 0}));
}

TEST(ElementwiseGeometry, TheFirstOperandThatStepsAlongBothDecides) {
  const Dims sizes{2, 3, 4};
  EXPECT_EQ(elementwise_geometry(sizes, {}), (Geometry{sizes, {12, 4, 1}, 0}));
  EXPECT_EQ(elementwise_geometry(sizes, std::vector<Dims>{{1, 2, 6}}), (Geometry{sizes, {1, 2, 6}, 0}));
  EXPECT_EQ(elementwise_geometry(sizes, std::vector<Dims>{{0, 0, 1}, {1, 2, 0}}), (Geometry{sizes, {4, 8, 1}, 0}));
  EXPECT_EQ(elementwise_geometry(sizes, std::vector<Dims>{{12, 4, 1}, {1, 2, 6}}), (Geometry{sizes, {12, 4, 1}, 0}));
}

TEST(ElementwiseGeometry, AnEmptyDimensionInAnotherOrderLeavesNoStride) {
  EXPECT_EQ(elementwise_geometry({4, 0}, std::vector<Dims>{{1, 4}}), (Geometry{{4, 0}, {1, 4}, 0}));
  EXPECT_EQ(elementwise_geometry({0, 4}, std::vector<Dims>{{1, 4}}), (Geometry{{0, 4}, {1, 0}, 0}));
}

}  // namespace
}  // namespace tensorbroker
