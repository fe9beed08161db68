// Tensors over memory that is no broker's: fresh, or a Python object's.

#ifndef TENSORBROKER_PYTHON_SRC_MEMORY_H_
#define TENSORBROKER_PYTHON_SRC_MEMORY_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

#include <cstddef>

namespace tensorbroker::python {

// Fresh memory of this process, not cleared. Needs no GIL.
Tensor new_tensor(Geometry geometry, DType dtype);

// The elements in fresh memory, laid out as torch.clone does. Needs no GIL.
Tensor clone(const Tensor& tensor);
// The same in C order.
Tensor contiguous_copy(const Tensor& tensor);
// The same converted to another dtype, as torch's to(dtype) does.
Tensor convert_copy(const Tensor& tensor, DType dtype);

// A tensor over the elements that begin at `data`, kept alive by `owner` until the last view is gone (the reference is
// then dropped under the GIL, from whichever thread; never, once Python has ended). Strides must not be negative.
// Wants the GIL.
Tensor alias(void* data, DType dtype, Geometry geometry, bool writable, pybind11::object owner);

// Whether the runs of memory that the two tensors reach are apart.
bool are_apart(const Tensor& a, const Tensor& b);

// Where the geometry's offset counts from. Throws as const_data() does.
std::byte* base_of(const Tensor& tensor);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_MEMORY_H_
