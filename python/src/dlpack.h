// DLPack in and out, versioned and legacy, and torch's tensors by way of it.
//
// Functions want the GIL; what a capsule's consumer calls later (the deleters) is plain C++ and runs on any thread,
// with or without Python.

#ifndef TENSORBROKER_PYTHON_SRC_DLPACK_H_
#define TENSORBROKER_PYTHON_SRC_DLPACK_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

#include <cstdint>
#include <vector>

#include "python/src/py_tensor.h"

namespace tensorbroker::python {

// Tensor::exportable(), without the GIL where it may map or copy.
Tensor exportable(const Tensor& tensor);

// The capsule with `tensor`'s memory as it is. A legacy one where `versioned` is false.
pybind11::object make_capsule(const Tensor& tensor, bool versioned, std::uint64_t flags);

// Tensor.__dlpack__. BufferError for what cannot be given out so, TypeError for arguments of wrong types.
pybind11::object export_dlpack(const Tensor& tensor, pybind11::handle stream, pybind11::handle max_version,
                               pybind11::handle dl_device, pybind11::handle copy);
// Tensor.__dlpack_device__.
pybind11::tuple dlpack_device();

// A tensor over the memory of any object with __dlpack__, or of a capsule that nobody took yet; read-only where it says
// so, and for JAX, whose arrays never change. `device` may be None or the CPU, `copy` None, True or False, as the array
// API has them. TypeError for a dtype or device that tensors do not have, ValueError for negative strides; what the
// object's own __dlpack__ raises.
Tensor import_dlpack(pybind11::handle object, pybind11::handle device, pybind11::handle copy);

// A torch.Tensor over the tensor's memory; of a sealed one, over private pages.
pybind11::object to_torch(const Tensor& tensor);
// The same for many tensors of one storage, so that those which share memory share a torch storage.
std::vector<pybind11::object> to_torch(const std::vector<Tensor>& tensors);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_DLPACK_H_
