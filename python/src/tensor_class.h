// tensorbroker.Tensor: its methods, in groups of one file each.
//
// Each function adds its group to the class. Call once, with the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_TENSOR_CLASS_H_
#define TENSORBROKER_PYTHON_SRC_TENSOR_CLASS_H_

#include <pybind11/pybind11.h>

#include "python/src/py_tensor.h"

namespace tensorbroker::python {

using TensorClass = py::class_<PyTensor>;

// Creates the class in `module` and adds everything to it.
void define_tensor(py::module_& module);

void define_geometry(TensorClass& tensor);  // tensor_geometry.cc: sizes, strides
void define_views(TensorClass& tensor);     // tensor_views.cc: view, transpose, select and the like
void define_copies(TensorClass& tensor);    // tensor_copies.cc: clone, to, copy_, equal, share_memory_
void define_elements(TensorClass& tensor);  // tensor_elements.cc: indexing, numbers, printing
void define_interop(TensorClass& tensor);   // tensor_interop.cc: NumPy, torch, DLPack
void define_record(TensorClass& tensor);    // tensor_record.cc: name, version, publish; pickle, copies

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_TENSOR_CLASS_H_
