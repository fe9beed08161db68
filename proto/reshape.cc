// expand(), view(), flatten and unflatten of proto/views.h: which shapes a strided tensor takes without moving its
// elements.

#include <tensorbroker/error.h>

#include <algorithm>
#include <string>
#include <utility>

#include "proto/geometry.h"
#include "proto/views.h"

namespace tensorbroker {
namespace {

[[noreturn]] void throw_invalid_shape(std::span<const std::int64_t> shape, std::int64_t numel) {
  throw RuntimeError("shape '" + Dims(shape).to_string() + "' is invalid for input of size " + std::to_string(numel));
}

[[noreturn]] void throw_numel_overflow() { throw RuntimeError("numel: integer multiplication overflow"); }

// Products of a shape that a caller asks for, where torch speaks of an overflow in other words than a factory does.
std::int64_t view_numel(std::span<const std::int64_t> sizes) {
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t size : sizes) {
    if (size < 0) throw_numel_overflow();
    empty = empty || size == 0;
    if (__builtin_mul_overflow(product, std::max<std::int64_t>(size, 1), &product)) throw_numel_overflow();
  }
  return empty ? 0 : product;
}

// The strides with which `shape` visits the elements of `geometry` in order; nullopt where none do.
// REQUIRES: as many elements in both.
std::optional<Dims> view_strides(const Geometry& geometry, const Dims& shape) {
  if (numel(geometry) == 0) return shape == geometry.sizes ? geometry.strides : contiguous_strides(shape);
  const Dims& sizes = geometry.sizes;
  Dims strides(shape.size(), 1);
  std::size_t left = shape.size();
  for (std::size_t d = sizes.size(); d > 0;) {
    // A run: neighbouring dimensions that lie in memory as one of `run` elements, `stride` apart.
    const std::int64_t stride = geometry.strides[--d];
    std::int64_t run = sizes[d];
    while (d > 0 && (sizes[d - 1] == 1 || geometry.strides[d - 1] == run * stride)) run *= sizes[--d];
    std::int64_t covered = 1;
    while (left > 0 && (covered < run || shape[left - 1] == 1)) {
      strides[--left] = covered * stride;
      covered *= shape[left];
    }
    if (covered != run) return std::nullopt;
  }
  return strides;
}

}  // namespace

Dims infer_size(std::span<const std::int64_t> shape, std::int64_t numel) {
  Dims result(shape);
  std::int64_t known = 1;
  std::optional<std::size_t> inferred;
  bool overflow = false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      if (inferred) throw RuntimeError("only one dimension can be inferred");
      inferred = i;
    } else if (shape[i] < 0) {
      throw RuntimeError("invalid shape dimension " + std::to_string(shape[i]) + " at index " + std::to_string(i) +
                         " of shape " + result.to_string());
    } else {
      overflow = __builtin_mul_overflow(known, shape[i], &known) || overflow;
    }
  }
  if (overflow && std::find(shape.begin(), shape.end(), 0) != shape.end())
    known = 0;
  else if (overflow)
    throw_invalid_shape(shape, numel);
  if (!inferred) {
    if (known != numel) throw_invalid_shape(shape, numel);
    return result;
  }
  if (known == 0 && numel == 0) {
    throw RuntimeError("cannot reshape tensor of 0 elements into shape " + result.to_string() +
                       " because the unspecified dimension size -1 can be any value and is ambiguous");
  }
  if (known == 0 || numel % known != 0) throw_invalid_shape(shape, numel);
  result[*inferred] = numel / known;
  return result;
}

std::optional<Geometry> try_view(const Geometry& geometry, std::span<const std::int64_t> shape) {
  Geometry result{infer_size(shape, numel(geometry)), {}, geometry.storage_offset};
  view_numel(result.sizes);
  std::optional<Dims> strides = view_strides(geometry, result.sizes);
  if (!strides) return std::nullopt;
  result.strides = std::move(*strides);
  return result;
}

Geometry view(const Geometry& geometry, std::span<const std::int64_t> shape) {
  if (std::optional<Geometry> result = try_view(geometry, shape)) return *std::move(result);
  throw RuntimeError(
      "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
      "contiguous subspaces). Use .reshape(...) instead.");
}

Geometry expand(const Geometry& geometry, std::span<const std::int64_t> sizes) {
  const std::size_t ndim = geometry.sizes.size();
  if (sizes.size() < ndim) {
    throw RuntimeError("expand(torch.Tensor{" + geometry.sizes.to_string() + "}, size=" + Dims(sizes).to_string() +
                       "): the number of sizes provided (" + std::to_string(sizes.size()) +
                       ") must be greater or equal to the number of dimensions in the tensor (" + std::to_string(ndim) +
                       ")");
  }
  Geometry result{Dims(sizes), Dims(sizes.size(), 0), geometry.storage_offset};
  if (ndim == 0) {
    view_numel(result.sizes);
    return result;
  }
  const std::size_t leading = sizes.size() - ndim;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    if (i < leading && sizes[i] == -1) {
      throw RuntimeError("The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension " +
                         std::to_string(i));
    }
    // A leading dimension is one of size 1 around the next.
    const bool is_new = i < leading;
    const std::int64_t size = is_new ? 1 : geometry.sizes[i - leading];
    const std::int64_t stride =
        is_new ? enclosing_stride(result.sizes[i + 1], result.strides[i + 1]) : geometry.strides[i - leading];
    if (sizes[i] == -1) result.sizes[i] = size;
    if (result.sizes[i] == size) {
      result.strides[i] = stride;
    } else if (size != 1) {
      throw RuntimeError("The expanded size of the tensor (" + std::to_string(sizes[i]) +
                         ") must match the existing size (" + std::to_string(size) + ") at non-singleton dimension " +
                         std::to_string(i) + ".  Target sizes: " + Dims(sizes).to_string() +
                         ".  Tensor sizes: " + geometry.sizes.to_string());
    }
  }
  view_numel(result.sizes);
  return result;
}

std::optional<Dims> flattened_shape(const Geometry& geometry, std::int64_t start_dim, std::int64_t end_dim) {
  const std::size_t start = wrap_dim(start_dim, geometry.dim());
  const std::size_t end = wrap_dim(end_dim, geometry.dim());
  if (start > end) throw RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim");
  if (geometry.dim() == 0) return Dims{1};
  if (start == end) return std::nullopt;
  Dims shape = geometry.sizes;
  for (std::size_t d = end; d > start; --d) {
    // Only beside a dimension of size 0 is there an overflow.
    if (__builtin_mul_overflow(shape[start], shape[d], &shape[start])) throw_numel_overflow();
    shape.erase(d);
  }
  return shape;
}

Geometry unflatten(const Geometry& geometry, std::int64_t dim, std::span<const std::int64_t> sizes) {
  if (sizes.empty()) throw RuntimeError("unflatten: sizes must be non-empty");
  const std::size_t d = wrap_dim(dim, geometry.dim());
  Dims shape = geometry.sizes;
  Dims parts;
  try {
    if (geometry.dim() == 0) throw RuntimeError("Dimension specified as 0 but tensor has no dimensions");
    parts = infer_size(sizes, geometry.sizes[d]);
  } catch (const RuntimeError& error) {
    const std::string reason = error.what();
    if (reason.find("is invalid for input of size") == std::string::npos) {
      throw RuntimeError("unflatten got an unexpected error:\n" + reason);
    }
    throw RuntimeError("unflatten: Provided sizes " + Dims(sizes).to_string() +
                       " don't multiply up to the size of dim " + std::to_string(d) + " (" +
                       std::to_string(geometry.sizes[d]) + ") in the input tensor");
  }
  shape.erase(d);
  for (std::size_t i = parts.size(); i-- > 0;) shape.insert(d, parts[i]);
  return view(geometry, shape);
}

Dims broadcast_sizes(const Dims& a, const Dims& b) {
  const Dims& longer = a.size() >= b.size() ? a : b;
  Dims result = longer;
  const auto size_at = [&](const Dims& sizes, std::size_t i) {
    const std::size_t missing = result.size() - sizes.size();
    return i < missing ? 1 : sizes[i - missing];
  };
  for (std::size_t i = result.size(); i-- > 0;) {
    const std::int64_t first = size_at(a, i);
    const std::int64_t second = size_at(b, i);
    if (first != second && first != 1 && second != 1) {
      throw RuntimeError("The size of tensor a (" + std::to_string(first) + ") must match the size of tensor b (" +
                         std::to_string(second) + ") at non-singleton dimension " + std::to_string(i));
    }
    result[i] = first == 1 ? second : first;
  }
  return result;
}

}  // namespace tensorbroker
