#include "proto/views.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <string>
#include <utility>

#include "proto/geometry.h"

namespace tensorbroker {
namespace {

std::string text(std::int64_t value) { return std::to_string(value); }

}  // namespace

std::size_t wrap_dim(std::int64_t dim, std::int64_t ndim) {
  const std::int64_t count = std::max<std::int64_t>(ndim, 1);
  if (dim < -count || dim >= count) {
    throw IndexError("Dimension out of range (expected to be in range of [" + text(-count) + ", " + text(count - 1) +
                     "], but got " + text(dim) + ")");
  }
  return static_cast<std::size_t>(dim < 0 ? dim + count : dim);
}

std::size_t existing_dim(std::int64_t dim, std::int64_t ndim) {
  if (ndim == 0) throw IndexError("Dimension specified as " + text(dim) + " but tensor has no dimensions");
  return wrap_dim(dim, ndim);
}

namespace {

Dims wrap_dims(std::span<const std::int64_t> dims, std::int64_t ndim) {
  Dims wrapped;
  for (const std::int64_t dim : dims) wrapped.push_back(static_cast<std::int64_t>(wrap_dim(dim, ndim)));
  return wrapped;
}

void check_unrepeated(const Dims& wrapped, const char* which, std::span<const std::int64_t> dims) {
  for (std::size_t i = 0; i < wrapped.size(); ++i) {
    if (std::count(wrapped.begin(), wrapped.begin() + i, wrapped[i]) == 0) continue;
    throw RuntimeError("movedim: repeated dim in `" + std::string(which) + "` (" + Dims(dims).to_string() + ")");
  }
}

}  // namespace

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
  if (step == 0) throw InvalidArgumentError("slice step cannot be zero");
  if (step < 0) throw InvalidArgumentError("step must be greater than zero");
  if (geometry.dim() == 0) throw IndexError("slice() cannot be applied to a 0-dim tensor.");
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
  result.strides[d] = enclosing_stride(step, geometry.strides[d]);
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

Geometry movedim(const Geometry& geometry, std::span<const std::int64_t> source,
                 std::span<const std::int64_t> destination) {
  if (source.size() != destination.size()) {
    throw RuntimeError("movedim: Invalid source or destination dims: source (" + Dims(source).to_string() +
                       " dims) should contain the same number of dims as destination (" +
                       Dims(destination).to_string() + " dims)");
  }
  const Dims from = wrap_dims(source, geometry.dim());
  const Dims to = wrap_dims(destination, geometry.dim());
  check_unrepeated(from, "source", source);
  check_unrepeated(to, "destination", destination);
  if (geometry.dim() == 0) return geometry;
  constexpr std::int64_t kFree = -1;
  Dims order(geometry.sizes.size(), kFree);
  for (std::size_t i = 0; i < from.size(); ++i) order[static_cast<std::size_t>(to[i])] = from[i];
  std::int64_t next = 0;
  for (std::int64_t& dim : order) {
    if (dim != kFree) continue;
    while (std::find(from.begin(), from.end(), next) != from.end()) ++next;
    dim = next++;
  }
  return permute(geometry, order);
}

Geometry matrix_transpose(const Geometry& geometry) {
  if (geometry.dim() == 0) return geometry;
  if (geometry.dim() == 1) {
    throw RuntimeError("tensor.mT is only supported on matrices or batches of matrices. Got 1-D tensor.");
  }
  return transpose(geometry, -2, -1);
}

Geometry reversed(const Geometry& geometry) {
  Geometry result = geometry;
  std::reverse(result.sizes.begin(), result.sizes.end());
  std::reverse(result.strides.begin(), result.strides.end());
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

Geometry squeeze(const Geometry& geometry, std::span<const std::int64_t> dims) {
  const Dims wrapped = wrap_dims(dims, geometry.dim());
  for (std::size_t i = 0; i < wrapped.size(); ++i) {
    if (std::count(wrapped.begin(), wrapped.begin() + i, wrapped[i]) != 0) {
      throw RuntimeError("dim " + text(wrapped[i]) + " appears multiple times in the list of dims");
    }
  }
  Geometry result{{}, {}, geometry.storage_offset};
  for (std::size_t d = 0; d < geometry.sizes.size(); ++d) {
    const bool chosen = std::find(wrapped.begin(), wrapped.end(), static_cast<std::int64_t>(d)) != wrapped.end();
    if (chosen && geometry.sizes[d] == 1) continue;
    result.sizes.push_back(geometry.sizes[d]);
    result.strides.push_back(geometry.strides[d]);
  }
  return result;
}

}  // namespace tensorbroker
