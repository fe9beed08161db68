// One element of a tensor as a number: read at an address, or written there with torch's conversions.
//
// Pure functions over memory that the caller owns: safe from any thread for addresses that nobody else writes.
// Addresses need no alignment. Whole tensors: client/strided.h.

#ifndef TENSORBROKER_CLIENT_SCALAR_H_
#define TENSORBROKER_CLIENT_SCALAR_H_

#include <tensorbroker/dtype.h>
#include <tensorbroker/scalar.h>

#include <cstddef>

namespace tensorbroker {

// The element at `data`: bool, int64 (signed dtypes), uint64 (unsigned), double (all floats, exactly) or complex.
Scalar load(const std::byte* data, DType dtype) noexcept;

// What the number is as float64: the real part of a complex one.
double to_double(const Scalar& value) noexcept;

// Writes as torch's fill_ and item assignment do: RuntimeError "value cannot be converted to type int8_t without
// overflow" where the dtype does not hold the value (a fraction is cut off; -1 wraps in an unsigned dtype; too large a
// number becomes infinity in float16 and bfloat16, but is an error in float32; only a real complex number fits a real
// dtype).
void store(std::byte* data, DType dtype, const Scalar& value);

// RuntimeError where the floats of 16 and 8 bits do not reach as far as the value. store() rounds there, to infinity or
// the largest number: torch's fill_ does so for one element, and refuses for any other number of them.
void check_range(DType dtype, const Scalar& value);

// Writes as torch.tensor([value], dtype=...) does: as store, but what is too large for float32 becomes infinity, a
// complex number for a real dtype is TypeError, as is any float for uint64, and a negative integer for uint64 is
// InvalidArgumentError.
void store_literal(std::byte* data, DType dtype, const Scalar& value);

// Writes as Tensor.to(dtype) and copy_ do: never an error; integers wrap, complex numbers lose their imaginary part,
// and a float beyond an integer dtype becomes what x86 makes of it.
void store_cast(std::byte* data, DType dtype, const Scalar& value) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_SCALAR_H_
