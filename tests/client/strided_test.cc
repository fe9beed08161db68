// fill, copy_strided and copy_convert against a loop over every element.

#include "client/strided.h"

#include <gtest/gtest.h>
#include <tensorbroker/error.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "proto/geometry.h"
#include "proto/views.h"

namespace tensorbroker {
namespace {

constexpr unsigned kSeed = 11;

class Strided : public testing::Test {
 protected:
  std::int64_t pick(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }

  std::vector<std::byte> random_bytes(std::size_t count) {
    std::vector<std::byte> bytes(count);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(pick(0, 255));
    return bytes;
  }

  Dims random_sizes() {
    Dims sizes;
    for (std::int64_t d = pick(0, 4); d > 0; --d) sizes.push_back(pick(0, 9) == 0 ? 0 : pick(1, 6));
    return sizes;
  }

  // Elements apart from each other: permuted, with gaps, and now and then backwards.
  Geometry random_geometry(const Dims& sizes) {
    Dims order;
    for (std::size_t d = 0; d < sizes.size(); ++d) order.push_back(static_cast<std::int64_t>(d));
    std::shuffle(order.begin(), order.end(), random_);
    Geometry geometry{sizes, Dims(sizes.size(), 0), pick(0, 3)};
    std::int64_t step = pick(1, 2);
    for (const std::int64_t d : order) {
      const auto at = static_cast<std::size_t>(d);
      geometry.strides[at] = step;
      step *= std::max<std::int64_t>(sizes[at], 1) + (pick(0, 2) == 0 ? 1 : 0);
      if (pick(0, 4) == 0 && sizes[at] > 0) {
        geometry.storage_offset += (sizes[at] - 1) * geometry.strides[at];
        geometry.strides[at] = -geometry.strides[at];
      }
    }
    return geometry;
  }

  std::size_t storage_bytes(const Geometry& geometry, std::size_t itemsize) {
    std::size_t count = itemsize;
    while (!lies_within(geometry, itemsize, count)) count += itemsize;
    return count;
  }

  std::mt19937 random_{kSeed};
  testing::ScopedTrace trace_{__FILE__, __LINE__, "seed " + std::to_string(kSeed)};
};

// Calls visit(place in a, place in b) for every element, one dimension after the other.
void for_each_pair(const Geometry& a, const Geometry& b, const std::function<void(std::int64_t, std::int64_t)>& visit) {
  if (a.dim() == 0) return visit(a.storage_offset, b.storage_offset);
  for (std::int64_t i = 0; i < a.sizes[0]; ++i) for_each_pair(select(a, 0, i), select(b, 0, i), visit);
}

TEST_F(Strided, CopyMovesEveryElementAndNothingElse) {
  for (int round = 0; round < 400; ++round) {
    const std::size_t size = std::size_t{1} << pick(0, 4);
    const Dims sizes = random_sizes();
    const Geometry to = random_geometry(sizes);
    const Geometry from = random_geometry(sizes);
    const auto source = random_bytes(storage_bytes(from, size));
    auto target = random_bytes(storage_bytes(to, size));
    auto expected = target;
    for_each_pair(to, from, [&](std::int64_t a, std::int64_t b) {
      std::copy_n(source.begin() + b * static_cast<std::int64_t>(size), size,
                  expected.begin() + a * static_cast<std::int64_t>(size));
    });
    copy_strided(to, target.data(), from, source.data(), size);
    ASSERT_EQ(target, expected) << to.strides.to_string() << from.strides.to_string() << sizes.to_string();
  }
}

TEST_F(Strided, CopyTakesAnExpandedSource) {
  const Geometry from = expand(contiguous_geometry(Dims{3, 1}), Dims{2, 3, 4});
  const std::int32_t values[] = {1, 2, 3};
  std::vector<std::int32_t> out(24);
  copy_strided(contiguous_geometry(from.sizes), reinterpret_cast<std::byte*>(out.data()), from,
               reinterpret_cast<const std::byte*>(values), 4);
  EXPECT_EQ(out, (std::vector<std::int32_t>{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3}));
}

TEST_F(Strided, ConvertIsOneStoreCastForEachElement) {
  for (const DTypeInfo& source_row : all_dtypes()) {
    for (const DTypeInfo& target_row : all_dtypes()) {
      const Dims sizes = pick(0, 9) == 0 ? Dims{700} : random_sizes();
      const Geometry to = random_geometry(sizes);
      const Geometry from = random_geometry(sizes);
      const auto source = random_bytes(storage_bytes(from, source_row.itemsize));
      auto target = random_bytes(storage_bytes(to, target_row.itemsize));
      auto expected = target;
      for_each_pair(to, from, [&](std::int64_t a, std::int64_t b) {
        const std::byte* element = source.data() + b * source_row.itemsize;
        std::byte* place = expected.data() + a * target_row.itemsize;
        if (source_row.dtype == target_row.dtype) {
          std::copy_n(element, source_row.itemsize, place);
        } else {
          store_cast(place, target_row.dtype, load(element, source_row.dtype));
        }
      });
      copy_convert(to, target_row.dtype, target.data(), from, source_row.dtype, source.data());
      ASSERT_EQ(target, expected) << source_row.name << " to " << target_row.name;
    }
  }
}

TEST_F(Strided, FillWritesEveryElementAndNothingElse) {
  for (const DTypeInfo& row : all_dtypes()) {
    const Geometry geometry = random_geometry(random_sizes());
    auto target = random_bytes(storage_bytes(geometry, row.itemsize));
    auto expected = target;
    for_each_pair(geometry, geometry,
                  [&](std::int64_t a, std::int64_t) { store(expected.data() + a * row.itemsize, row.dtype, 2.0); });
    fill(geometry, row.dtype, target.data(), 2.0);
    ASSERT_EQ(target, expected) << row.name;
  }
}

TEST_F(Strided, AFillThatIsRefusedWritesNothing) {
  std::vector<std::byte> target(6, std::byte{7});
  EXPECT_THROW(fill(contiguous_geometry(Dims{6}), kInt8, target.data(), 1e6), RuntimeError);
  EXPECT_EQ(target, std::vector<std::byte>(6, std::byte{7}));
}

}  // namespace
}  // namespace tensorbroker
