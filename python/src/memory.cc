#include "python/src/memory.h"

#include <cstdint>
#include <utility>

#include "client/storage.h"
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

}  // namespace

Tensor alias(void* data, DType dtype, Geometry geometry, bool writable, py::object owner) {
  const auto bytes = static_cast<std::size_t>(checked_reach(geometry, itemsize(dtype)));
  PyObject* kept = owner.release().ptr();
  auto storage =
      detail::Storage::foreign(bytes == 0 ? nullptr : data, bytes, writable, [kept](void*) { drop_reference(kept); });
  std::byte* base = storage->data();
  return Tensor(std::move(storage), base, dtype, std::move(geometry));
}

}  // namespace tensorbroker::python
