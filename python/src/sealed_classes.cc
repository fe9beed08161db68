#include "python/src/sealed_classes.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

PyObject* refuse_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyErr_Format(PyExc_TypeError, "%s: No constructor defined! Its objects come from the functions of tensorbroker",
               type->tp_name);
  return nullptr;
}

// pybind11's own base class, which other extensions share, is let alone: it is what protocols 0 and 1 would call.
void refuse_pickle(py::handle type) {
  const auto refuse = [](py::handle self, py::handle) -> py::object {
    PyErr_Format(PyExc_TypeError, "cannot pickle '%s' object", Py_TYPE(self.ptr())->tp_name);
    throw py::error_already_set();
  };
  py::setattr(type, "__reduce_ex__", py::cpp_function(refuse, py::name("__reduce_ex__"), py::is_method(type)));
}

}  // namespace

void seal_classes(const py::module_& module) {
  for (const auto& [name, value] : py::cast<py::dict>(module.attr("__dict__").attr("copy")())) {
    if (!PyType_Check(value.ptr()) || PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(value.ptr()),
                                                       reinterpret_cast<PyTypeObject*>(PyExc_Exception)) != 0) {
      continue;
    }
    const py::dict members(value.attr("__dict__"));
    if (!members.contains("__reduce__")) refuse_pickle(value);
    // Every class has an __init__; one of a binding's is a constructor.
    if (PyInstanceMethod_Check(members["__init__"].ptr())) continue;
    reinterpret_cast<PyTypeObject*>(value.ptr())->tp_new = &refuse_new;
    PyType_Modified(reinterpret_cast<PyTypeObject*>(value.ptr()));
  }
}

}  // namespace tensorbroker::python
