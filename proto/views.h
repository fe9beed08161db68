// torch's view operations on a Geometry: each returns the geometry of the view over the same storage.
//
// Pure functions, safe from any thread. Results, error classes and messages are torch 2.13's: IndexError for a
// dimension or index out of range, RuntimeError for the rest. Dimensions count from the end when negative.
// REQUIRES of every geometry: it was made by these functions or passed check_geometry; then so does the result.

#ifndef TENSORBROKER_PROTO_VIEWS_H_
#define TENSORBROKER_PROTO_VIEWS_H_

#include <tensorbroker/geometry.h>

#include <cstdint>
#include <optional>
#include <span>

namespace tensorbroker {

// `dim` in [-ndim, ndim - 1] as one that counts from 0; a 0-d tensor has the dimensions -1 and 0.
std::size_t wrap_dim(std::int64_t dim, std::int64_t ndim);

Geometry select(const Geometry& geometry, std::int64_t dim, std::int64_t index);
Geometry narrow(const Geometry& geometry, std::int64_t dim, std::int64_t start, std::int64_t length);

// Python's slice of one dimension, clamped as Python does. A step of 0 or below is InvalidArgumentError.
Geometry slice(const Geometry& geometry, std::int64_t dim, std::optional<std::int64_t> start,
               std::optional<std::int64_t> stop, std::int64_t step = 1);

Geometry transpose(const Geometry& geometry, std::int64_t dim0, std::int64_t dim1);
Geometry permute(const Geometry& geometry, std::span<const std::int64_t> dims);
// For at most two dimensions.
Geometry t(const Geometry& geometry);

Geometry unsqueeze(const Geometry& geometry, std::int64_t dim);
// Without every dimension of size 1; or without this one, if its size is 1.
Geometry squeeze(const Geometry& geometry);
Geometry squeeze(const Geometry& geometry, std::int64_t dim);

// -1 keeps a size. An expanded dimension has stride 0: its elements are one and the same.
Geometry expand(const Geometry& geometry, std::span<const std::int64_t> sizes);

// `shape` with its one -1, if there is one, replaced by what `numel` elements leave for it.
Dims infer_size(std::span<const std::int64_t> shape, std::int64_t numel);

// view() raises where the elements would have to move; try_view says so with nullopt, and reshape then copies.
Geometry view(const Geometry& geometry, std::span<const std::int64_t> shape);
std::optional<Geometry> try_view(const Geometry& geometry, std::span<const std::int64_t> shape);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_VIEWS_H_
