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

bool is_finalizing() noexcept {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

void drop_reference(PyObject* owner) noexcept {
  if (Py_IsInitialized() == 0) return;
  if (PyGILState_Check() != 0) {
    Py_DECREF(owner);
    return;
  }
  if (is_finalizing()) return;  // nobody gets the GIL any more
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

std::size_t reach(const Geometry& geometry, DType dtype) {
  if (checked_numel(geometry.sizes) == 0) return 0;
  std::int64_t last = 0;
  for (std::size_t d = 0; d < geometry.sizes.size(); ++d) last += (geometry.sizes[d] - 1) * geometry.strides[d];
  return (static_cast<std::size_t>(last) + 1) * itemsize(dtype);
}

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
  const std::size_t bytes = reach(geometry, dtype);
  PyObject* kept = owner.release().ptr();
  auto storage =
      detail::Storage::foreign(bytes == 0 ? nullptr : data, bytes, writable, [kept](void*) { drop_reference(kept); });
  std::byte* base = storage->data();
  return Tensor(std::move(storage), base, dtype, std::move(geometry));
}

Tensor over_private_pages(const Tensor& tensor) {
  const detail::StorageRef& source = tensor.storage();
  detail::StorageRef pages = detail::Storage::private_copy(source, true);
  Geometry geometry = tensor.geometry();
  geometry.storage_offset = 0;
  std::byte* first = tensor.numel() == 0 ? pages->data() : pages->data() + offset_in_storage(tensor);
  return Tensor(std::move(pages), first, tensor.dtype(), std::move(geometry));
}

bool are_apart(const Tensor& a, const Tensor& b) {
  if (a.numel() == 0 || b.numel() == 0) return true;
  const auto begin = [](const Tensor& t) { return reinterpret_cast<std::uintptr_t>(t.const_data()); };
  const auto end = [&](const Tensor& t) { return begin(t) + reach(t.geometry(), t.dtype()); };
  return end(a) <= begin(b) || end(b) <= begin(a);
}

std::byte* base_of(const Tensor& tensor) {
  if (tensor.numel() == 0) return tensor.storage()->data();
  auto* first = const_cast<std::byte*>(static_cast<const std::byte*>(tensor.const_data()));
  return first - tensor.storage_offset() * static_cast<std::int64_t>(tensor.itemsize());
}

std::size_t offset_in_storage(const Tensor& tensor) {
  if (tensor.numel() == 0) return 0;
  // A published draft is read at another address than it was written at; its tensors all begin where it begins.
  if (tensor.storage()->draft() != nullptr)
    return static_cast<std::size_t>(tensor.storage_offset()) * tensor.itemsize();
  return static_cast<std::size_t>(static_cast<const std::byte*>(tensor.const_data()) - tensor.storage()->data());
}

}  // namespace tensorbroker::python
