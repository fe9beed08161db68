#include "python/src/memory.h"

#include <cstdint>
#include <utility>

#include "client/storage.h"
#include "client/strided.h"
#include "proto/geometry.h"
#include "python/src/gil.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

void drop_reference(PyObject* owner) noexcept {
  if (is_python_over()) return;
  if (PyGILState_Check() != 0) {
    Py_DECREF(owner);
    return;
  }
  const WithGil gil;
  Py_DECREF(owner);
}

Tensor copy_as(const Tensor& tensor, Geometry geometry) {
  Tensor copy = new_tensor(std::move(geometry), tensor.dtype());
  if (tensor.numel() != 0) {
    copy_strided(copy.geometry(), base_of(copy), tensor.geometry(), base_of(tensor), tensor.itemsize());
  }
  return copy;
}

}  // namespace

Tensor new_tensor(Geometry geometry, DType dtype) {
  const auto bytes = static_cast<std::size_t>(checked_nbytes(geometry.sizes, itemsize(dtype)));
  detail::StorageRef storage = detail::Storage::heap(bytes);
  std::byte* data = storage->data();
  return Tensor(std::move(storage), data, dtype, std::move(geometry));
}

Tensor clone(const Tensor& tensor) { return copy_as(tensor, clone_geometry(tensor.geometry())); }

Tensor contiguous_copy(const Tensor& tensor) { return copy_as(tensor, contiguous_geometry(tensor.sizes())); }

Tensor convert_copy(const Tensor& tensor, DType dtype) {
  Tensor copy = new_tensor(clone_geometry(tensor.geometry()), dtype);
  if (tensor.numel() != 0) {
    copy_convert(copy.geometry(), dtype, base_of(copy), tensor.geometry(), tensor.dtype(), base_of(tensor));
  }
  return copy;
}

Tensor alias(void* data, DType dtype, Geometry geometry, bool writable, py::object owner) {
  const auto bytes = static_cast<std::size_t>(checked_reach(geometry, itemsize(dtype)));
  PyObject* kept = owner.release().ptr();
  auto storage =
      detail::Storage::foreign(bytes == 0 ? nullptr : data, bytes, writable, [kept](void*) { drop_reference(kept); });
  std::byte* base = storage->data();
  return Tensor(std::move(storage), base, dtype, std::move(geometry));
}

bool are_apart(const Tensor& a, const Tensor& b) {
  if (a.numel() == 0 || b.numel() == 0) return true;
  const auto begin = [](const Tensor& t) { return reinterpret_cast<std::uintptr_t>(t.const_data()); };
  const auto end = [&](const Tensor& t) {
    return begin(t) + static_cast<std::uintptr_t>(checked_reach(t.geometry(), t.itemsize()));
  };
  return end(a) <= begin(b) || end(b) <= begin(a);
}

std::byte* base_of(const Tensor& tensor) {
  if (tensor.numel() == 0) return tensor.storage()->data();
  auto* first = const_cast<std::byte*>(static_cast<const std::byte*>(tensor.const_data()));
  return first - tensor.storage_offset() * static_cast<std::int64_t>(tensor.itemsize());
}

}  // namespace tensorbroker::python
