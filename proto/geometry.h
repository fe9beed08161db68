// Arithmetic over a Geometry: element counts, contiguity, and the check of what comes from outside.
//
// Pure functions, safe from any thread. The view operations are in proto/views.h, basic indexing in proto/indexing.h.

#ifndef TENSORBROKER_PROTO_GEOMETRY_H_
#define TENSORBROKER_PROTO_GEOMETRY_H_

#include <tensorbroker/geometry.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace tensorbroker {

// The number of elements. RuntimeError, in torch's words, for a negative size, or when the number (or that of any
// dimensions but those of size 0) is more than int64 holds.
std::int64_t checked_numel(std::span<const std::int64_t> sizes);

// The size in bytes of a contiguous tensor. Errors as checked_numel.
std::int64_t checked_nbytes(std::span<const std::int64_t> sizes, std::size_t itemsize);

// Bytes from the first element to behind the last one, strides of any sign but negative; 0 where there is no element.
// Errors as checked_numel. REQUIRES: as many strides as sizes.
std::int64_t checked_reach(const Geometry& geometry, std::size_t itemsize);

// The number of elements of sizes that were checked before.
std::int64_t numel(const Geometry& geometry) noexcept;

// C-order strides, as torch.empty gives them (a size of 0 counts as 1). Errors as checked_numel.
Dims contiguous_strides(std::span<const std::int64_t> sizes);

// The stride of a dimension of size 1 around one of this size and stride. It may be any number, since nobody steps over
// it; 0 where the product overflows.
std::int64_t enclosing_stride(std::int64_t size, std::int64_t stride) noexcept;

// Moves the start of a view by `count` steps. Only a view without elements can overflow; its offset does not matter.
void advance(Geometry& geometry, std::int64_t count, std::int64_t stride) noexcept;

// C order at offset 0.
Geometry contiguous_geometry(std::span<const std::int64_t> sizes);

// As torch's is_contiguous(): dimensions of size 1 and tensors without elements do not matter.
bool is_contiguous(const Geometry& geometry) noexcept;

// Whether the elements fill one run of memory, each place exactly once, in whatever order of dimensions. A tensor
// without elements does.
bool is_non_overlapping_and_dense(const Geometry& geometry) noexcept;

// Whether `geometry` is well formed and every element that it reaches lies in a storage of `storage_nbytes` bytes.
// The trust boundary: every field may hold anything, and nothing overflows. A geometry without elements reaches
// nothing; its offset must not be negative. `itemsize` must not be 0.
bool lies_within(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides,
                 std::int64_t storage_offset, std::size_t itemsize, std::uint64_t storage_nbytes) noexcept;
bool lies_within(const Geometry& geometry, std::size_t itemsize, std::uint64_t storage_nbytes) noexcept;

// Throws InvalidArgumentError, naming the geometry and the storage, unless lies_within.
void check_geometry(const Geometry& geometry, std::size_t itemsize, std::uint64_t storage_nbytes);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_GEOMETRY_H_
