// unbind(), split() and chunk() of proto/views.h.

#include <tensorbroker/error.h>

#include <algorithm>
#include <string>

#include "proto/views.h"

namespace tensorbroker {
namespace {

std::string text(std::int64_t value) { return std::to_string(value); }

void check_not_scalar(const Geometry& geometry, const char* function) {
  if (geometry.dim() == 0) throw RuntimeError(std::string(function) + " expects at least a 1-dimensional tensor");
}

// Elements [start, start + length) of a dimension, as far as they are there.
Geometry part(const Geometry& geometry, std::size_t dim, std::int64_t start, std::int64_t length) {
  return slice(geometry, static_cast<std::int64_t>(dim), start, start + length);
}

}  // namespace

std::vector<Geometry> unbind(const Geometry& geometry, std::int64_t dim) {
  const std::size_t d = existing_dim(static_cast<std::int64_t>(wrap_dim(dim, geometry.dim())), geometry.dim());
  std::vector<Geometry> parts;
  for (std::int64_t i = 0; i < geometry.sizes[d]; ++i) parts.push_back(select(geometry, dim, i));
  return parts;
}

std::vector<Geometry> split(const Geometry& geometry, std::int64_t split_size, std::int64_t dim) {
  check_not_scalar(geometry, "split");
  if (split_size < 0) {
    throw RuntimeError("split expects split_size be non-negative, but got split_size=" + text(split_size));
  }
  const std::size_t d = wrap_dim(dim, geometry.dim());
  const std::int64_t size = geometry.sizes[d];
  if (split_size == 0 && size != 0) {
    throw RuntimeError("split_size can only be 0 if dimension size is 0, but got dimension size of " + text(size));
  }
  if (size == 0) return {geometry};
  std::vector<Geometry> parts;
  for (std::int64_t start = 0; start < size;) {
    const std::int64_t length = std::min(split_size, size - start);
    parts.push_back(part(geometry, d, start, length));
    start += length;
  }
  return parts;
}

std::vector<Geometry> split(const Geometry& geometry, std::span<const std::int64_t> split_sizes, std::int64_t dim) {
  check_not_scalar(geometry, "split");
  const std::size_t d = wrap_dim(dim, geometry.dim());
  const std::int64_t size = geometry.sizes[d];
  const auto refuse = [&](const std::string& what) {
    std::string got = "[";
    for (const std::int64_t length : split_sizes) got += (got.size() > 1 ? ", " : "") + text(length);
    throw RuntimeError("split_with_sizes expects split_sizes " + what + ", but got split_sizes=" + got + "]");
  };
  std::vector<Geometry> parts;
  std::int64_t start = 0;
  bool fits = true;
  for (const std::int64_t length : split_sizes) {
    if (length < 0) refuse("have only non-negative entries");
    fits = fits && length <= size - start;
    if (!fits) continue;
    parts.push_back(part(geometry, d, start, length));
    start += length;
  }
  if (!fits || start != size) {
    refuse("to sum exactly to " + text(size) + " (input tensor's size at dimension " + text(dim) + ")");
  }
  return parts;
}

std::vector<Geometry> chunk(const Geometry& geometry, std::int64_t chunks, std::int64_t dim) {
  check_not_scalar(geometry, "chunk");
  if (chunks <= 0) throw RuntimeError("chunk expects `chunks` to be greater than 0, got: " + text(chunks));
  const std::size_t d = wrap_dim(dim, geometry.dim());
  const std::int64_t size = geometry.sizes[d];
  if (size == 0) return std::vector<Geometry>(static_cast<std::size_t>(chunks), geometry);
  return split(geometry, size / chunks + (size % chunks != 0 ? 1 : 0), dim);
}

}  // namespace tensorbroker
