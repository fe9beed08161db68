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

#include "client/scalar.h"

namespace tensorbroker {

// Every element becomes `value`, converted as by store(). Nothing is written when that throws.
void fill(const Geometry& geometry, DType dtype, std::byte* storage, const Scalar& value);

// Copies element by element between two geometries of equal sizes, in one pass; runs that lie alike on both sides
// by memcpy.
void copy_strided(const Geometry& to, std::byte* to_storage, const Geometry& from, const std::byte* from_storage,
                  std::size_t itemsize);

// The same between any two dtypes, converted as by store_cast().
void copy_convert(const Geometry& to, DType to_dtype, std::byte* to_storage, const Geometry& from, DType from_dtype,
                  const std::byte* from_storage);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_STRIDED_H_
