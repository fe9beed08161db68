// torch's view operations on a Geometry: each returns the geometry of the view over the same storage.
//
// Pure functions, safe from any thread. Results, error classes and messages are torch 2.13's: IndexError for a
// dimension or index out of range, RuntimeError for the rest. Dimensions count from the end when negative.
// REQUIRES of every geometry: it was made by these functions or passed check_geometry; then so does the result.

#ifndef TENSORBROKER_PROTO_VIEWS_H_
#define TENSORBROKER_PROTO_VIEWS_H_

#include <tensorbroker/dtype.h>
#include <tensorbroker/geometry.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tensorbroker {

// `dim` in [-ndim, ndim - 1] as one that counts from 0; a 0-d tensor has the dimensions -1 and 0.
std::size_t wrap_dim(std::int64_t dim, std::int64_t ndim);
// The same for what needs a dimension that is there: of a 0-d tensor none is.
std::size_t existing_dim(std::int64_t dim, std::int64_t ndim);

Geometry select(const Geometry& geometry, std::int64_t dim, std::int64_t index);
Geometry narrow(const Geometry& geometry, std::int64_t dim, std::int64_t start, std::int64_t length);

// Python's slice of one dimension, clamped as Python does. A step of 0 or below is InvalidArgumentError.
Geometry slice(const Geometry& geometry, std::int64_t dim, std::optional<std::int64_t> start,
               std::optional<std::int64_t> stop, std::int64_t step = 1);

Geometry transpose(const Geometry& geometry, std::int64_t dim0, std::int64_t dim1);
Geometry permute(const Geometry& geometry, std::span<const std::int64_t> dims);
// Dimension source[i] comes to place destination[i]; the others keep their order.
Geometry movedim(const Geometry& geometry, std::span<const std::int64_t> source,
                 std::span<const std::int64_t> destination);
// For at most two dimensions.
Geometry t(const Geometry& geometry);
// The last two dimensions exchanged (torch's mT), and all of them reversed (T).
Geometry matrix_transpose(const Geometry& geometry);
Geometry reversed(const Geometry& geometry);

Geometry unsqueeze(const Geometry& geometry, std::int64_t dim);
// Without every dimension of size 1; or without this one, or these, as far as their size is 1.
Geometry squeeze(const Geometry& geometry);
Geometry squeeze(const Geometry& geometry, std::int64_t dim);
Geometry squeeze(const Geometry& geometry, std::span<const std::int64_t> dims);

// ---- partition.cc: one dimension cut into several views
std::vector<Geometry> unbind(const Geometry& geometry, std::int64_t dim);
// Parts of `split_size`, the last one shorter; or of these sizes.
std::vector<Geometry> split(const Geometry& geometry, std::int64_t split_size, std::int64_t dim);
std::vector<Geometry> split(const Geometry& geometry, std::span<const std::int64_t> split_sizes, std::int64_t dim);
// At most `chunks` parts.
std::vector<Geometry> chunk(const Geometry& geometry, std::int64_t chunks, std::int64_t dim);

// ---- windows.cc: other walks through the same elements
Geometry diagonal(const Geometry& geometry, std::int64_t offset, std::int64_t dim1, std::int64_t dim2);
// Windows of `size` elements, `step` apart, along a dimension; the window is the new last dimension.
Geometry unfold(const Geometry& geometry, std::int64_t dim, std::int64_t size, std::int64_t step);
// Whatever sizes, strides and offset say, over a storage of `storage_nbytes` bytes; RuntimeError beyond it.
Geometry as_strided(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides,
                    std::int64_t storage_offset, DType dtype, std::uint64_t storage_nbytes);
// The same bytes as elements of another dtype.
Geometry view_dtype(const Geometry& geometry, DType from, DType to);

// ---- reshape.cc
// -1 keeps a size. An expanded dimension has stride 0: its elements are one and the same.
Geometry expand(const Geometry& geometry, std::span<const std::int64_t> sizes);

// `shape` with its one -1, if there is one, replaced by what `numel` elements leave for it.
Dims infer_size(std::span<const std::int64_t> shape, std::int64_t numel);

// view() raises where the elements would have to move; try_view says so with nullopt, and reshape then copies.
Geometry view(const Geometry& geometry, std::span<const std::int64_t> shape);
std::optional<Geometry> try_view(const Geometry& geometry, std::span<const std::int64_t> shape);

// The shape with the dimensions from start_dim to end_dim made one; nullopt where that is no change.
std::optional<Dims> flattened_shape(const Geometry& geometry, std::int64_t start_dim, std::int64_t end_dim);
// `dim` split into dimensions of these sizes, one of which may be -1.
Geometry unflatten(const Geometry& geometry, std::int64_t dim, std::span<const std::int64_t> sizes);

// What two shapes broadcast to.
Dims broadcast_sizes(const Dims& a, const Dims& b);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_VIEWS_H_
