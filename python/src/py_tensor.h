// The objects behind tensorbroker.Tensor and tensorbroker.Bundle in Python, and how the rest of the extension gets at
// them.
//
// Everything here wants the GIL. Code that gives the GIL up works on a copy of the Tensor, since another thread may
// call release() on the same object meanwhile.

#ifndef TENSORBROKER_PYTHON_SRC_PY_TENSOR_H_
#define TENSORBROKER_PYTHON_SRC_PY_TENSOR_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensorbroker.h>

namespace tensorbroker::python {

namespace py = pybind11;

// How an object ended that has no tensor any more.
enum class Ending { kReleased, kDiscarded };

struct PyTensor {
  Tensor tensor;                   // undefined after release() and discard()
  detail::StorageRef pinned = {};  // held until the object dies, where its bare address was given away
  // What create() returned: only it, not its views, is published or discarded. Arrays over a discarded draft stay
  // valid: its memory is given back with the last of them.
  bool is_draft = false;
  Ending ending = Ending::kReleased;
};

struct PyBundle {
  Bundle bundle;  // undefined after release()
};

// The tensor; ClosedError where it was released or discarded.
const Tensor& live(const PyTensor& self);
const Bundle& live(const PyBundle& self);

// A new Python object.
py::object wrap(Tensor tensor);
py::object wrap(Bundle bundle);
py::object wrap(Object object);
py::object wrap_draft(Tensor draft);

// The tensor behind a Python object; null for any other type.
PyTensor* as_tensor(py::handle object) noexcept;
// The same for a bundle.
PyBundle* as_bundle(py::handle object) noexcept;

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_PY_TENSOR_H_
