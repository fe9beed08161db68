// What lies under a tensor: addresses, fresh memory, and whether two tensors meet there.
//
// Pure functions of their arguments; safe from any thread. Addresses throw where Tensor::const_data() does.

#ifndef TENSORBROKER_CLIENT_TENSOR_MEMORY_H_
#define TENSORBROKER_CLIENT_TENSOR_MEMORY_H_

#include <tensorbroker/tensor.h>

#include <cstddef>
#include <cstdint>

namespace tensorbroker {

// Where the geometry's offset counts from.
std::byte* base_of(const Tensor& tensor);

// Whether the runs of memory that the two tensors reach are apart. REQUIRES: no negative strides.
bool are_apart(const Tensor& a, const Tensor& b);

// After the elements were read or written: throws as const_data() does where bytes of them were lost meanwhile, so that
// zeros may have been read, or nobody else sees what was written.
void check_intact(const Tensor& tensor);

// Fresh memory of this process, not cleared. Throws OutOfMemoryError.
Tensor new_tensor(Geometry geometry, DType dtype);

// Copies the elements of `from`, converted as Tensor.to() does, also where the two overlap. REQUIRES: equal sizes, a
// writable `to` whose elements do not lie on one another.
void copy_into(const Tensor& to, const Tensor& from);

// ---- torch's refusals of a destination that has no one result, each a RuntimeError
// Elements of `written` lie on one another, as after expand().
void check_no_internal_overlap(const Tensor& written);
// Both are dense and share some, but not all elements in place.
void check_no_partial_overlap(const Tensor& written, const Tensor& read);
// Both are dense and share elements.
void check_no_overlap(const Tensor& written, const Tensor& read);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_TENSOR_MEMORY_H_
