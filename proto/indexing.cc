#include "proto/indexing.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <string>

#include "proto/views.h"

namespace tensorbroker {
namespace {

// An integer in place `position` of the index, for dimension `d`.
Geometry index_integer(const Geometry& geometry, std::size_t d, std::int64_t value, std::size_t position) {
  const std::int64_t size = geometry.sizes[wrap_dim(static_cast<std::int64_t>(d), geometry.dim())];
  if (value < -size || value >= size) {
    throw IndexError("index " + std::to_string(value) + " is out of bounds for dimension " + std::to_string(position) +
                     " with size " + std::to_string(size));
  }
  return select(geometry, static_cast<std::int64_t>(d), value);
}

// How many dimensions the integers and slices name. Throws when the tensor has fewer.
std::int64_t count_named(const Geometry& geometry, std::span<const Index> indices) {
  const auto named = std::count_if(indices.begin(), indices.end(), [](const Index& index) {
    return std::holds_alternative<std::int64_t>(index) || std::holds_alternative<Slice>(index);
  });
  if (named <= geometry.dim()) return named;
  const auto* lone = indices.size() == 1 ? std::get_if<std::int64_t>(&indices[0]) : nullptr;
  if (lone != nullptr && *lone == 0) {
    throw IndexError(
        "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
        "0-dim tensor to a number");
  }
  if (lone != nullptr) {
    throw IndexError("index " + std::to_string(*lone) + " is out of bounds for dimension 0 with size 0");
  }
  if (indices.size() == 1) slice(geometry, 0, std::nullopt, std::nullopt, std::get<Slice>(indices[0]).step);
  throw IndexError("too many indices for tensor of dimension " + std::to_string(geometry.dim()));
}

}  // namespace

Geometry index(const Geometry& geometry, std::span<const Index> indices) {
  const std::int64_t named = count_named(geometry, indices);
  Geometry result = geometry;
  std::size_t d = 0;
  for (std::size_t position = 0; position < indices.size(); ++position) {
    const Index& item = indices[position];
    if (const auto* value = std::get_if<std::int64_t>(&item)) {
      result = index_integer(result, d, *value, position);
    } else if (const auto* range = std::get_if<Slice>(&item)) {
      result = slice(result, static_cast<std::int64_t>(d++), range->start, range->stop, range->step);
    } else if (std::holds_alternative<Ellipsis>(item)) {
      // A second one is allowed, and skips as many again: nothing but new axes can follow.
      d += static_cast<std::size_t>(geometry.dim() - named);
    } else {
      result = unsqueeze(result, static_cast<std::int64_t>(d++));
    }
  }
  return result;
}

}  // namespace tensorbroker
