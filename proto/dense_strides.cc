#include "proto/dense_strides.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "proto/geometry.h"

namespace tensorbroker {
namespace {

// Dimensions, the innermost first.
class Order {
 public:
  Order(const Dims& sizes, std::span<const Dims> operands) : ndim_(sizes.size()) {
    for (std::size_t i = 0; i < ndim_; ++i) dims_[i] = ndim_ - 1 - i;
    // Not every two dimensions can be compared, so the result depends on the way of sorting: torch inserts.
    for (std::size_t i = 1; i < ndim_; ++i) {
      std::size_t at = i;
      for (std::size_t before = i; before-- > 0;) {
        const int verdict = compare(sizes, operands, dims_[before], dims_[at]);
        if (verdict < 0) break;
        if (verdict == 0) continue;
        std::swap(dims_[before], dims_[at]);
        at = before;
      }
    }
  }

  std::span<const std::size_t> dims() const noexcept { return {dims_.data(), ndim_}; }
  bool is_c_order() const noexcept { return std::is_sorted(dims().begin(), dims().end(), std::greater<>()); }

 private:
  // Above 0 where dimension `a` must come outside of `b`, below where inside, 0 where no operand says.
  static int compare(const Dims& sizes, std::span<const Dims> operands, std::size_t a, std::size_t b) {
    for (const Dims& strides : operands) {
      if (strides[a] == 0 || strides[b] == 0) continue;
      if (strides[a] != strides[b]) return strides[a] < strides[b] ? -1 : 1;
      if (sizes[a] > sizes[b]) return 1;
    }
    return 0;
  }

  std::size_t ndim_;
  std::array<std::size_t, kMaxDims> dims_{};
};

}  // namespace

Geometry clone_geometry(const Geometry& geometry) {
  if (is_non_overlapping_and_dense(geometry)) return {geometry.sizes, geometry.strides, 0};
  const Order order(geometry.sizes, {&geometry.strides, 1});
  Dims strides(geometry.sizes.size(), 0);
  std::int64_t next = 1;
  for (const std::size_t d : order.dims()) {
    strides[d] = next;
    if (geometry.sizes[d] > 1) next *= geometry.sizes[d];
  }
  return {geometry.sizes, std::move(strides), 0};
}

Geometry elementwise_geometry(const Dims& sizes, std::span<const Dims> operands) {
  const Order order(sizes, operands);
  if (order.is_c_order()) return contiguous_geometry(sizes);
  Dims strides(sizes.size(), 0);
  std::int64_t next = 1;
  for (const std::size_t d : order.dims()) {
    strides[d] = next;
    next *= sizes[d];  // 0 from the first empty dimension on, as torch has it
  }
  return {sizes, std::move(strides), 0};
}

}  // namespace tensorbroker
