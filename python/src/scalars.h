// Python numbers to and from one element of a tensor.
//
// Everything here wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_SCALARS_H_
#define TENSORBROKER_PYTHON_SRC_SCALARS_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

#include <optional>

#include "client/scalar.h"

namespace tensorbroker::python {

// A Python number (bool, int, float, complex, their subclasses, a NumPy scalar) and the dtype that torch infers for it.
struct Number {
  Scalar value;
  DType dtype;
  bool huge = false;  // an int that neither int64 nor uint64 holds: `value` is the nearest double
};

// Nothing for what is not a number.
std::optional<Number> to_number(pybind11::handle object);

pybind11::object from_scalar(const Scalar& value);

// ValueError, as torch's, where an int does not fit: `dtype` must be able to take it.
void check_fits(const Number& number, DType dtype);
// OverflowError, as torch's, where an int is beyond 64 bits.
void check_64_bits(const Number& number);

// A 0-d tensor of this process's memory with the number: as wide as it needs, or of this dtype, as store() writes it.
Tensor to_tensor(const Number& number);
Tensor to_tensor(const Number& number, DType dtype);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_SCALARS_H_
