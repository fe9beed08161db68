// What Tensor.to() is asked for.
//
// Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_CONVERSION_H_
#define TENSORBROKER_PYTHON_SRC_CONVERSION_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/dtype.h>

#include <optional>

namespace tensorbroker::python {

struct Conversion {
  std::optional<DType> dtype;  // absent: the tensor's own
  bool copy = false;
};

// The arguments of to(dtype, non_blocking, copy), to(device, dtype, non_blocking, copy) and to(other, non_blocking,
// copy), by place or by name; a name of a dtype is taken for it. RuntimeError for any device but the CPU, TypeError for
// what is none of these.
Conversion to_conversion(const pybind11::args& args, const pybind11::kwargs& kwargs);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_CONVERSION_H_
