// What reads or writes the elements of whole tensors: copies, conversions, fills, comparison.

#include <tensorbroker/tensor.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "client/promote.h"
#include "client/scalar.h"
#include "client/storage.h"
#include "client/strided.h"
#include "client/tensor_memory.h"
#include "proto/dense_strides.h"
#include "proto/geometry.h"
#include "proto/views.h"

namespace tensorbroker {
namespace {

Tensor copy_of(const Tensor& tensor, Geometry geometry, DType dtype) {
  Tensor copy = new_tensor(std::move(geometry), dtype);
  copy_into(copy, tensor);
  return copy;
}

// `source` broadcast to the sizes of `target`, as torch's in-place operations do.
Tensor broadcast_to(const Tensor& source, const Tensor& target) {
  const Dims& wanted = target.geometry().sizes;
  const Dims both = broadcast_sizes(wanted, source.geometry().sizes);
  if (both != wanted) {
    throw RuntimeError("output with shape " + wanted.to_string() + " doesn't match the broadcast shape " +
                       both.to_string());
  }
  return source.expand(wanted);
}

bool is_same_view(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.geometry().sizes == b.geometry().sizes &&
         a.geometry().strides == b.geometry().strides && (a.numel() == 0 || a.const_data() == b.const_data());
}

}  // namespace

Tensor Tensor::clone() const { return copy_of(*this, clone_geometry(geometry_), dtype_); }

Tensor Tensor::contiguous() const {
  return is_contiguous() ? *this : copy_of(*this, contiguous_geometry(geometry_.sizes), dtype_);
}

Tensor Tensor::to(DType dtype, bool copy) const {
  return dtype == dtype_ && !copy ? *this : copy_of(*this, clone_geometry(geometry_), dtype);
}

Tensor Tensor::reshape(DimList shape) const {
  if (auto view = try_view(geometry_, shape)) return with(*std::move(view));
  const Dims inferred = infer_size(shape, numel());
  return copy_of(*this, contiguous_geometry(geometry_.sizes), dtype_).view(inferred);
}

Tensor Tensor::flatten(std::int64_t start_dim, std::int64_t end_dim) const {
  const std::optional<Dims> shape = flattened_shape(geometry_, start_dim, end_dim);
  return shape ? reshape(*shape) : *this;
}

const Tensor& Tensor::copy_(const Tensor& source) const {
  data();
  if (is_same_view(*this, source)) return *this;
  check_no_internal_overlap(*this);
  check_no_partial_overlap(*this, source);
  copy_into(*this, broadcast_to(source, *this));
  return *this;
}

const Tensor& Tensor::fill_(const Scalar& value) const {
  data();
  fill(geometry_, dtype_, base_of(*this), value);
  check_intact(*this);
  return *this;
}

const Tensor& Tensor::zero_() const {
  data();
  const std::array<std::byte, 16> zero{};
  copy_strided(geometry_, base_of(*this), {geometry_.sizes, Dims(geometry_.sizes.size(), 0), 0}, zero.data(),
               itemsize());
  check_intact(*this);
  return *this;
}

Scalar Tensor::item() const {
  if (numel() != 1) {
    throw RuntimeError("a Tensor with " + std::to_string(numel()) + " elements cannot be converted to Scalar");
  }
  const Scalar value = load(static_cast<const std::byte*>(const_data()), dtype_);
  check_intact(*this);
  return value;
}

bool Tensor::equal(const Tensor& other) const {
  if (geometry_.sizes != other.geometry_.sizes) return false;
  const DType common = promote_types(dtype_, other.dtype_);
  if (numel() == 0) return true;
  const Tensor mine = to(common);
  const Tensor its = other.to(common);
  const bool equal = equal_strided(mine.geometry_, base_of(mine), its.geometry_, base_of(its), common);
  check_intact(mine);
  check_intact(its);
  return equal;
}

}  // namespace tensorbroker
