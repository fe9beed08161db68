// What users hand over as data: NumPy arrays, torch tensors, and everything else that stands for one, as a Tensor.
//
// Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_SOURCE_H_
#define TENSORBROKER_PYTHON_SRC_SOURCE_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

#include <optional>

namespace tensorbroker::python {

// Whether the object has memory or a protocol of its own, so that source_tensor takes it: a tensor of this package,
// torch or NumPy, or anything with __dlpack__, the buffer protocol, __array_interface__ or __array__.
bool is_array_like(pybind11::handle object);

// A tensor over the object's own memory where that can be, else over a copy: good for reading, until the object
// changes. Keeps the object. TypeError, saying what to do, for what tensors cannot hold (object arrays and the like).
Tensor source_tensor(pybind11::handle object);

// The same for any data: numbers and nested lists too. With a dtype these are made of it; what has memory of its own
// stays as it is there, to be converted by whoever copies it. May have negative strides, so do nothing with it but
// that.
Tensor read_data(pybind11::handle data, std::optional<DType> dtype);

// Whether the object is a torch.Tensor. Imports nothing.
bool is_torch_tensor(pybind11::handle object);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_SOURCE_H_
