// Whole strided tensors in memory: fill, copy, copy with conversion.
//
// Every `storage` is where the storage begins, that is element -storage_offset of the geometry.
// REQUIRES: each geometry passed check_geometry for its storage; destination and source do not overlap, and no element
// of a destination lies on another. Safe from any thread for memory that nobody else writes.

#ifndef TENSORBROKER_CLIENT_STRIDED_H_
#define TENSORBROKER_CLIENT_STRIDED_H_

#include <tensorbroker/dtype.h>
#include <tensorbroker/geometry.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "client/scalar.h"

namespace tensorbroker {

// Every element becomes `value`, converted as by store() and, for other than one element, checked by check_range().
// Nothing is written when those throw.
void fill(const Geometry& geometry, DType dtype, std::byte* storage, const Scalar& value);

// Copies element by element between two geometries of equal sizes, in one pass; runs that lie alike on both sides
// by bulk_copy(), as a part of `together` bytes.
void copy_strided(const Geometry& to, std::byte* to_storage, const Geometry& from, const std::byte* from_storage,
                  std::size_t itemsize, std::size_t together = 0);

// The same between any two dtypes, converted as by store_cast().
void copy_convert(const Geometry& to, DType to_dtype, std::byte* to_storage, const Geometry& from, DType from_dtype,
                  const std::byte* from_storage, std::size_t together = 0);

// Whether the elements are equal as numbers, one by one: NaN is not, -0 and 0 are. The sizes must be equal; no element
// is written, so they may overlap.
bool equal_strided(const Geometry& a, const std::byte* a_storage, const Geometry& b, const std::byte* b_storage,
                   DType dtype);

// ---- the same between lists of places: for each i what `to` and `from` say, begun `to_places[i]` and `from_places[i]`
// elements further on. Later ones win where destinations meet.
void copy_places(const Geometry& to, std::byte* to_storage, std::span<const std::int64_t> to_places,
                 const Geometry& from, const std::byte* from_storage, std::span<const std::int64_t> from_places,
                 std::size_t itemsize);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_STRIDED_H_
