// Tensors over a Python object's memory.

#ifndef TENSORBROKER_PYTHON_SRC_MEMORY_H_
#define TENSORBROKER_PYTHON_SRC_MEMORY_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

#include <cstddef>

namespace tensorbroker::python {

// A tensor over the elements that begin at `data`, kept alive by `owner` until the last view is gone (the reference is
// then dropped under the GIL, from whichever thread; never, once Python has ended). Strides must not be negative.
// Wants the GIL.
Tensor alias(void* data, DType dtype, Geometry geometry, bool writable, pybind11::object owner);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_MEMORY_H_
