#include "python/src/py_tensor.h"

#include <utility>
#include <variant>

namespace tensorbroker::python {
namespace {

template <class T>
T* as(py::handle object) noexcept {
  static PyTypeObject* const type = reinterpret_cast<PyTypeObject*>(py::type::of<T>().release().ptr());
  return PyObject_TypeCheck(object.ptr(), type) ? py::cast<T*>(object) : nullptr;
}

}  // namespace

const Tensor& live(const PyTensor& self) {
  if (self.tensor.defined()) return self.tensor;
  if (self.ending == Ending::kDiscarded) throw ClosedError("this draft was discarded; create another one");
  throw ClosedError("this tensor was released; get or open it again");
}

const Bundle& live(const PyBundle& self) {
  if (!self.bundle.defined()) throw ClosedError("this bundle was released; get or open it again");
  return self.bundle;
}

py::object wrap(Tensor tensor) { return py::cast(PyTensor{.tensor = std::move(tensor)}); }

py::object wrap(Bundle bundle) { return py::cast(PyBundle{std::move(bundle)}); }

py::object wrap(Object object) {
  return std::visit([](auto&& value) { return wrap(std::forward<decltype(value)>(value)); }, std::move(object));
}

py::object wrap_draft(Tensor draft) { return py::cast(PyTensor{.tensor = std::move(draft), .is_draft = true}); }

PyTensor* as_tensor(py::handle object) noexcept { return as<PyTensor>(object); }

PyBundle* as_bundle(py::handle object) noexcept { return as<PyBundle>(object); }

}  // namespace tensorbroker::python
