// diagonal(), unfold(), as_strided() and view(dtype) of proto/views.h.

#include <tensorbroker/error.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "proto/geometry.h"
#include "proto/views.h"

namespace tensorbroker {
namespace {

std::string text(std::int64_t value) { return std::to_string(value); }

// The bytes that the geometry reaches from the begin of its storage; nullopt beyond int64.
std::optional<std::int64_t> reached_bytes(const Geometry& geometry, std::size_t itemsize, std::int64_t offset) {
  std::int64_t elements = 1;
  for (std::size_t d = 0; d < geometry.sizes.size(); ++d) {
    std::int64_t reach = 0;
    if (geometry.sizes[d] == 0) return 0;
    if (geometry.sizes[d] < 0) return std::nullopt;
    if (__builtin_mul_overflow(geometry.sizes[d] - 1, geometry.strides[d], &reach)) return std::nullopt;
    if (__builtin_add_overflow(elements, reach, &elements)) return std::nullopt;
  }
  std::int64_t bytes = 0;
  if (__builtin_add_overflow(elements, offset, &elements)) return std::nullopt;
  if (__builtin_mul_overflow(elements, static_cast<std::int64_t>(itemsize), &bytes)) return std::nullopt;
  return bytes;
}

std::string both_names(DType from, DType to) {
  return std::string(info(from).scalar_type) + " as " + std::string(info(to).scalar_type) +
         " (different element sizes), but got ";
}

// Elements become `ratio` smaller ones each.
Geometry view_smaller(const Geometry& geometry, DType from, DType to, std::int64_t ratio) {
  const std::size_t last = geometry.sizes.size() - 1;
  if (geometry.strides[last] != 1) {
    throw RuntimeError("self.stride(-1) must be 1 to view " + both_names(from, to) + text(geometry.strides[last]));
  }
  Geometry result = geometry;
  for (std::size_t d = 0; d < last; ++d) result.strides[d] = enclosing_stride(ratio, geometry.strides[d]);
  result.sizes[last] *= ratio;
  if (__builtin_mul_overflow(geometry.storage_offset, ratio, &result.storage_offset)) result.storage_offset = 0;
  return result;
}

// `ratio` elements become one larger one.
Geometry view_larger(const Geometry& geometry, DType from, DType to, std::int64_t ratio) {
  const std::size_t last = geometry.sizes.size() - 1;
  const auto check = [&](std::int64_t value, const std::string& what) {
    if (value % ratio == 0) return;
    throw RuntimeError(what + " must be divisible by " + text(ratio) + " to view " + both_names(from, to) +
                       text(value));
  };
  check(geometry.sizes[last], "self.size(-1)");
  check(geometry.storage_offset, "self.storage_offset()");
  if (geometry.strides[last] != 1) {
    throw RuntimeError("self.stride(-1) must be 1 to view " + both_names(from, to) + text(geometry.strides[last]));
  }
  Geometry result = geometry;
  for (std::size_t d = 0; d < last; ++d) {
    check(geometry.strides[d], "self.stride(" + std::to_string(d) + ")");
    result.strides[d] /= ratio;
  }
  result.sizes[last] /= ratio;
  result.storage_offset /= ratio;
  return result;
}

}  // namespace

Geometry diagonal(const Geometry& geometry, std::int64_t offset, std::int64_t dim1, std::int64_t dim2) {
  const std::size_t a = wrap_dim(dim1, geometry.dim());
  const std::size_t b = wrap_dim(dim2, geometry.dim());
  if (a == b) throw RuntimeError("diagonal dimensions cannot be identical " + text(dim1) + ", " + text(dim2));
  // Rows to leave out at the begin of one dimension or the other; as many as there are leave nothing.
  const std::int64_t down = offset < 0 ? std::min(-(offset + 1), geometry.sizes[a]) + 1 : 0;
  const std::int64_t right = offset > 0 ? std::min(offset, geometry.sizes[b]) : 0;
  const std::int64_t length = std::max<std::int64_t>(0, std::min(geometry.sizes[a] - down, geometry.sizes[b] - right));
  Geometry result = geometry;
  if (length > 0) {
    advance(result, down, geometry.strides[a]);
    advance(result, right, geometry.strides[b]);
  }
  for (const std::size_t d : {std::max(a, b), std::min(a, b)}) {
    result.sizes.erase(d);
    result.strides.erase(d);
  }
  std::int64_t stride = 0;
  if (__builtin_add_overflow(geometry.strides[a], geometry.strides[b], &stride)) stride = 0;
  result.sizes.push_back(length);
  result.strides.push_back(stride);
  return result;
}

Geometry unfold(const Geometry& geometry, std::int64_t dim, std::int64_t size, std::int64_t step) {
  const std::size_t d = wrap_dim(dim, geometry.dim());
  const bool scalar = geometry.dim() == 0;
  const std::int64_t existing = scalar ? 1 : geometry.sizes[d];
  if (size < 0) throw RuntimeError("size is " + text(size) + " but must be >= 0");
  if (size > existing) {
    throw RuntimeError("maximum size for tensor at dimension " + std::to_string(d) + " is " + text(existing) +
                       " but size is " + text(size));
  }
  if (step <= 0) throw RuntimeError("step is " + text(step) + " but must be > 0");
  Geometry result = geometry;
  result.sizes.push_back(size);
  result.strides.push_back(scalar ? 1 : geometry.strides[d]);
  if (scalar) return result;
  result.sizes[d] = (existing - size) / step + 1;
  // A step that overflows is longer than the dimension: one window is left, and no step is ever taken.
  result.strides[d] = enclosing_stride(step, geometry.strides[d]);
  return result;
}

Geometry as_strided(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides,
                    std::int64_t storage_offset, DType dtype, std::uint64_t storage_nbytes) {
  if (sizes.size() != strides.size()) throw RuntimeError("mismatch in length of strides and shape");
  Geometry result{Dims(sizes), Dims(strides), storage_offset};
  if (std::any_of(strides.begin(), strides.end(), [](std::int64_t stride) { return stride < 0; })) {
    throw RuntimeError("as_strided: Negative strides are not supported at the moment, got strides: " +
                       result.strides.to_string());
  }
  const auto refuse = [&](const std::string& message) { throw RuntimeError(message); };
  const std::size_t item = itemsize(dtype);
  if (storage_offset < 0) refuse("Tensor: invalid storage offset " + text(storage_offset));
  const auto bytes = reached_bytes(result, item, storage_offset);
  if (!bytes) {
    refuse("Storage size calculation overflowed with sizes=" + result.sizes.to_string() +
           (sizes.empty() ? "" : " and strides=" + result.strides.to_string()));
  }
  if (*bytes > 0 && static_cast<std::uint64_t>(*bytes) > storage_nbytes) {
    refuse("setStorage: sizes " + result.sizes.to_string() + ", strides " + result.strides.to_string() +
           ", storage offset " + text(storage_offset) + ", and itemsize " + std::to_string(item) +
           " requiring a storage size of " + text(*bytes) + " are out of bounds for storage of size " +
           std::to_string(storage_nbytes));
  }
  return result;
}

Geometry view_dtype(const Geometry& geometry, DType from, DType to) {
  const auto old_size = static_cast<std::int64_t>(itemsize(from));
  const auto new_size = static_cast<std::int64_t>(itemsize(to));
  if (old_size == new_size) return geometry;
  if (geometry.dim() == 0) {
    throw RuntimeError("self.dim() cannot be 0 to view " + std::string(info(from).scalar_type) + " as " +
                       std::string(info(to).scalar_type) + " (different element sizes)");
  }
  if (old_size > new_size) return view_smaller(geometry, from, to, old_size / new_size);
  return view_larger(geometry, from, to, new_size / old_size);
}

}  // namespace tensorbroker
