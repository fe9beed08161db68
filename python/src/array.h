// Between tensors and NumPy: arrays over a tensor's memory, tensors over an array's.
//
// Wants the GIL. What keeps a tensor's storage alive in an array is a capsule as its base, not the Tensor object, which
// may be released before.

#ifndef TENSORBROKER_PYTHON_SRC_ARRAY_H_
#define TENSORBROKER_PYTHON_SRC_ARRAY_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

#include "python/src/py_tensor.h"

namespace tensorbroker::python {

// What keeps a storage, as the base of arrays over it.
pybind11::object new_owner(const detail::StorageRef& storage);

// A plain ndarray over the tensor's memory, read-only where the tensor is. `owner`: of the tensor's storage, where
// there is one already.
pybind11::object to_array(const Tensor& tensor);
pybind11::object to_array(const Tensor& tensor, const pybind11::object& owner);

// What the tensor is to those who read __array_interface__; AttributeError for a dtype that NumPy lacks.
pybind11::dict array_interface(const Tensor& tensor);

// A tensor for reading the array's elements: over its memory where the layout allows, else over a copy.
// TypeError, saying what to do, for arrays of objects, text, records, dates, and masked ones.
Tensor from_array(pybind11::handle array);

// The same to be copied from and nothing else: negative strides are left as they are, so that nothing is copied before.
Tensor read_array(pybind11::handle array);

// torch.from_numpy: always the array's own memory, or ValueError or TypeError, as torch has them. An array that lies
// in a broker tensor gives that tensor's storage again, as long as nothing lies between that makes it another one
// (private pages; a read-only array of a writable tensor).
Tensor share_array(pybind11::handle array);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_ARRAY_H_
