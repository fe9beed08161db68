// The buffer protocol of tensors: memoryview(t), np.asarray(t), and all who read buffers.
//
// Wants the GIL. A view keeps the storage, whatever becomes of the Tensor object. bfloat16 and float8 have no format
// character: BufferError.

#ifndef TENSORBROKER_PYTHON_SRC_BUFFER_H_
#define TENSORBROKER_PYTHON_SRC_BUFFER_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

namespace tensorbroker::python {

// Gives the class of Tensor its buffer protocol; for pybind11's custom_type_setup.
void set_buffer_protocol(PyHeapTypeObject* type);

// The storage that a view which a Tensor gave out keeps.
detail::StorageRef exported_storage(const Py_buffer& view);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_BUFFER_H_
