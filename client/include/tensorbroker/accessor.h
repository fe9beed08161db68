// Typed access to the elements of a tensor of a known number of dimensions, in the manner of ATen's TensorAccessor.
//
// An accessor is a pointer with sizes and strides: it checks no index, keeps nothing alive, and points into the Tensor
// object that it was made from, which must outlive it. As thread safe as a pointer.
//
//   const auto rows = weights.accessor<const float, 2>();
//   for (std::int64_t i = 0; i < rows.size(0); ++i) sum += rows[i][0];

#ifndef TENSORBROKER_ACCESSOR_H_
#define TENSORBROKER_ACCESSOR_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace tensorbroker {

template <class T, std::size_t N>
class TensorAccessor {
  static_assert(N > 0, "an accessor has one dimension at least: use data_ptr<T>() for a tensor without dimensions");

 public:
  using element_type = T;

  // REQUIRES: N sizes and N strides (in elements) that outlive the accessor.
  TensorAccessor(T* data, const std::int64_t* sizes, const std::int64_t* strides) noexcept
      : data_(data), sizes_(sizes), strides_(strides) {}

  std::span<const std::int64_t, N> sizes() const noexcept { return std::span<const std::int64_t, N>(sizes_, N); }
  std::span<const std::int64_t, N> strides() const noexcept { return std::span<const std::int64_t, N>(strides_, N); }
  std::int64_t size(std::size_t dim) const noexcept { return sizes_[dim]; }
  std::int64_t stride(std::size_t dim) const noexcept { return strides_[dim]; }
  T* data() const noexcept { return data_; }

  // The element, or an accessor of one dimension less. REQUIRES: 0 <= index < size(0).
  decltype(auto) operator[](std::int64_t index) const noexcept {
    T* const at = data_ + index * strides_[0];
    if constexpr (N == 1) {
      return static_cast<T&>(*at);
    } else {
      return TensorAccessor<T, N - 1>(at, sizes_ + 1, strides_ + 1);
    }
  }

 private:
  T* data_;
  const std::int64_t* sizes_;
  const std::int64_t* strides_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_ACCESSOR_H_
