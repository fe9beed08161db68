#include "proto/views.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <string>
#include <utility>

#include "proto/geometry.h"

namespace tensorbroker {
namespace {

std::string text(std::int64_t value) { return std::to_string(value); }

// Moves the start of a view by `count` steps. Only a view without elements can overflow; its offset does not matter.
void advance(Geometry& geometry, std::int64_t count, std::int64_t stride) {
  std::int64_t distance = 0;
  std::int64_t offset = 0;
  if (__builtin_mul_overflow(count, stride, &distance)) return;
  if (__builtin_add_overflow(geometry.storage_offset, distance, &offset) || offset < 0) return;
  geometry.storage_offset = offset;
}

}  // namespace

std::size_t wrap_dim(std::int64_t dim, std::int64_t ndim) {
  const std::int64_t count = std::max<std::int64_t>(ndim, 1);
  if (dim < -count || dim >= count) {
    throw IndexError("Dimension out of range (expected to be in range of [" + text(-count) + ", " + text(count - 1) +
                     "], but got " + text(dim) + ")");
  }
  return static_cast<std::size_t>(dim < 0 ? dim + count : dim);
}

Geometry select(const Geometry& geometry, std::int64_t dim, std::int64_t index) {
  if (geometry.dim() == 0) throw IndexError("select() cannot be applied to a 0-dim tensor.");
  const std::size_t d = wrap_dim(dim, geometry.dim());
  const std::int64_t size = geometry.sizes[d];
  if (index < -size || index >= size) {
    throw IndexError("select(): index " + text(index) + " out of range for tensor of size " +
                     geometry.sizes.to_string() + " at dimension " + text(static_cast<std::int64_t>(d)));
  }
  Geometry result = geometry;
  advance(result, index < 0 ? index + size : index, geometry.strides[d]);
  result.sizes.erase(d);
  result.strides.erase(d);
  return result;
}

Geometry narrow(const Geometry& geometry, std::int64_t dim, std::int64_t start, std::int64_t length) {
  if (geometry.dim() == 0) throw RuntimeError("narrow() cannot be applied to a 0-dim tensor.");
  if (length < 0) throw RuntimeError("narrow(): length must be non-negative.");
  const std::size_t d = wrap_dim(dim, geometry.dim());
  const std::int64_t size = geometry.sizes[d];
  if (start < -size || start > size) {
    throw IndexError("start out of range (expected to be in range of [" + text(-size) + ", " + text(size) +
                     "], but got " + text(start) + ")");
  }
  if (start < 0) start += size;
  if (length > size - start) {
    throw RuntimeError("start (" + text(start) + ") + length (" + text(length) + ") exceeds dimension size (" +
                       text(size) + ").");
  }
  Geometry result = geometry;
  advance(result, start, geometry.strides[d]);
  result.sizes[d] = length;
  return result;
}

Geometry slice(const Geometry& geometry, std::int64_t dim, std::optional<std::int64_t> start,
               std::optional<std::int64_t> stop, std::int64_t step) {
  if (geometry.dim() == 0) throw IndexError("slice() cannot be applied to a 0-dim tensor.");
  if (step == 0) throw InvalidArgumentError("slice step cannot be zero");
  if (step < 0) throw InvalidArgumentError("step must be greater than zero");
  const std::size_t d = wrap_dim(dim, geometry.dim());
  const std::int64_t size = geometry.sizes[d];
  const auto clamp = [size](std::int64_t bound) {
    return std::clamp<std::int64_t>(bound < 0 ? bound + size : bound, 0, size);
  };
  const std::int64_t first = clamp(start.value_or(0));
  const std::int64_t last = std::max(first, clamp(stop.value_or(size)));
  Geometry result = geometry;
  advance(result, first, geometry.strides[d]);
  result.sizes[d] = (last - first) / step + ((last - first) % step != 0 ? 1 : 0);
  // A step that overflows is longer than the dimension: at most one element is left, and no step is ever taken.
  std::int64_t stride = 0;
  if (!__builtin_mul_overflow(geometry.strides[d], step, &stride)) result.strides[d] = stride;
  return result;
}

Geometry transpose(const Geometry& geometry, std::int64_t dim0, std::int64_t dim1) {
  const std::size_t a = wrap_dim(dim0, geometry.dim());
  const std::size_t b = wrap_dim(dim1, geometry.dim());
  Geometry result = geometry;
  if (geometry.dim() == 0) return result;
  std::swap(result.sizes[a], result.sizes[b]);
  std::swap(result.strides[a], result.strides[b]);
  return result;
}

Geometry permute(const Geometry& geometry, std::span<const std::int64_t> dims) {
  if (dims.size() != geometry.sizes.size()) {
    throw RuntimeError(
        "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
        "ordering of dimensions i.e. input.dim() = " +
        text(geometry.dim()) + " is not equal to len(dims) = " + std::to_string(dims.size()));
  }
  Geometry result = geometry;
  Dims seen(dims.size(), 0);
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const std::size_t d = wrap_dim(dims[i], geometry.dim());
    if (seen[d]++ != 0) throw RuntimeError("permute(): duplicate dims are not allowed.");
    result.sizes[i] = geometry.sizes[d];
    result.strides[i] = geometry.strides[d];
  }
  return result;
}

Geometry t(const Geometry& geometry) {
  if (geometry.dim() > 2) {
    throw RuntimeError("t() expects a tensor with <= 2 dimensions, but self is " + text(geometry.dim()) + "D");
  }
  return geometry.dim() < 2 ? geometry : transpose(geometry, 0, 1);
}

Geometry unsqueeze(const Geometry& geometry, std::int64_t dim) {
  const std::size_t d = wrap_dim(dim, geometry.dim() + 1);
  const bool last = d == geometry.sizes.size();
  Geometry result = geometry;
  result.strides.insert(d, last ? 1 : enclosing_stride(geometry.sizes[d], geometry.strides[d]));
  result.sizes.insert(d, 1);
  return result;
}

Geometry squeeze(const Geometry& geometry) {
  Geometry result{{}, {}, geometry.storage_offset};
  for (std::size_t d = 0; d < geometry.sizes.size(); ++d) {
    if (geometry.sizes[d] == 1) continue;
    result.sizes.push_back(geometry.sizes[d]);
    result.strides.push_back(geometry.strides[d]);
  }
  return result;
}

Geometry squeeze(const Geometry& geometry, std::int64_t dim) {
  const std::size_t d = wrap_dim(dim, geometry.dim());
  Geometry result = geometry;
  if (geometry.dim() == 0 || geometry.sizes[d] != 1) return result;
  result.sizes.erase(d);
  result.strides.erase(d);
  return result;
}

}  // namespace tensorbroker
