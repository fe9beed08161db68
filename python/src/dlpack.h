// DLPack in and out, versioned and legacy, and torch's tensors by way of it.
//
// Functions want the GIL; what a capsule's consumer calls later (the deleters) is plain C++ and runs on any thread,
// with or without Python.

#ifndef TENSORBROKER_PYTHON_SRC_DLPACK_H_
#define TENSORBROKER_PYTHON_SRC_DLPACK_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

#include <vector>

#include "python/src/py_tensor.h"

namespace tensorbroker::python {

// The tensor that may be given to a library that knows no read-only memory: itself where it is writable, over private
// pages where it is sealed. ReadOnlyError, saying what to do, for a mutable tensor opened "r".
Tensor exportable(const Tensor& tensor);

// The capsule with `tensor`'s memory as it is. A legacy one where `versioned` is false.
pybind11::object make_capsule(const Tensor& tensor, bool versioned, std::uint64_t flags);

// Tensor.__dlpack__.
pybind11::object export_dlpack(const Tensor& tensor, pybind11::handle max_version, pybind11::handle dl_device,
                               pybind11::handle copy);

// A tensor over the memory of any object with __dlpack__, read-only where it says so. TypeError for a dtype or device
// that tensors do not have; what the object's own __dlpack__ raises.
Tensor import_dlpack(pybind11::handle object);

// A torch.Tensor over the tensor's memory; of a sealed one, over private pages.
pybind11::object to_torch(const Tensor& tensor);
// The same for many tensors of one storage, so that those which share memory share a torch storage.
std::vector<pybind11::object> to_torch(const std::vector<Tensor>& tensors);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_DLPACK_H_
