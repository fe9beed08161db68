#include "python/src/buffer.h"

#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "proto/geometry.h"
#include "proto/views.h"
#include "python/src/errors.h"
#include "python/src/py_tensor.h"

namespace tensorbroker::python {
namespace {

// What a Py_buffer points into.
struct View {
  Tensor tensor;
  std::vector<Py_ssize_t> shape;
  std::vector<Py_ssize_t> strides;  // bytes
};

bool is_fortran_contiguous(const Geometry& geometry) {
  std::vector<std::int64_t> dims;
  for (std::int64_t d = geometry.dim(); d > 0; --d) dims.push_back(d - 1);
  return is_contiguous(permute(geometry, dims));
}

// Why the tensor cannot be given out as `flags` ask; null where it can.
const char* refusal(const Tensor& tensor, int flags) {
  const auto asks = [flags](int what) { return (flags & what) == what; };
  if (asks(PyBUF_WRITABLE) && !tensor.is_writable()) {
    return "this tensor is read-only: a sealed one stays so, a mutable one can be opened \"r+\"";
  }
  const bool c_order = is_contiguous(tensor.geometry());
  if (asks(PyBUF_C_CONTIGUOUS) && !c_order) return "this tensor is not C-contiguous";
  if (asks(PyBUF_F_CONTIGUOUS) && !is_fortran_contiguous(tensor.geometry())) return "this tensor is not F-contiguous";
  if (asks(PyBUF_ANY_CONTIGUOUS) && !c_order && !is_fortran_contiguous(tensor.geometry())) {
    return "this tensor is not contiguous";
  }
  if (!asks(PyBUF_STRIDES) && !c_order) return "this tensor is not C-contiguous: ask for its strides";
  return nullptr;
}

void fill(Py_buffer* buffer, std::unique_ptr<View> view, int flags) {
  const Tensor& tensor = view->tensor;
  const auto item = static_cast<Py_ssize_t>(tensor.itemsize());
  for (std::size_t d = 0; d < tensor.sizes().size(); ++d) {
    view->shape.push_back(tensor.sizes()[d]);
    view->strides.push_back(tensor.strides()[d] * item);
  }
  static std::byte nowhere[1];
  buffer->buf = tensor.numel() == 0 ? nowhere : const_cast<void*>(tensor.const_data());
  buffer->len = static_cast<Py_ssize_t>(tensor.nbytes());
  buffer->itemsize = item;
  buffer->readonly = tensor.is_writable() ? 0 : 1;
  buffer->ndim = static_cast<int>(view->shape.size());
  buffer->format = (flags & PyBUF_FORMAT) != 0 ? const_cast<char*>(info(tensor.dtype()).buffer.data()) : nullptr;
  buffer->shape = (flags & PyBUF_ND) != 0 ? view->shape.data() : nullptr;
  buffer->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? view->strides.data() : nullptr;
  buffer->suboffsets = nullptr;
  buffer->internal = view.release();
}

int get_buffer(PyObject* self, Py_buffer* buffer, int flags) {
  buffer->obj = nullptr;
  try {
    auto view = std::make_unique<View>(View{live(*as_tensor(self)), {}, {}});
    if (info(view->tensor.dtype()).buffer.empty()) {
      const std::string message =
          "the buffer protocol has no " + std::string(name(view->tensor.dtype())) + ": call .numpy()";
      PyErr_SetString(PyExc_BufferError, message.c_str());
      return -1;
    }
    if (const char* reason = refusal(view->tensor, flags)) {
      PyErr_SetString(PyExc_BufferError, reason);
      return -1;
    }
    fill(buffer, std::move(view), flags);
    buffer->obj = Py_NewRef(self);
    return 0;
  } catch (const Error& error) {
    set_python_error(error);
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_BufferError, error.what());
  }
  return -1;
}

void release_buffer(PyObject*, Py_buffer* buffer) { delete static_cast<View*>(buffer->internal); }

}  // namespace

void set_buffer_protocol(PyHeapTypeObject* type) {
  type->as_buffer.bf_getbuffer = &get_buffer;
  type->as_buffer.bf_releasebuffer = &release_buffer;
  type->ht_type.tp_as_buffer = &type->as_buffer;
}

detail::StorageRef exported_storage(const Py_buffer& view) {
  return static_cast<const View*>(view.internal)->tensor.storage();
}

}  // namespace tensorbroker::python
