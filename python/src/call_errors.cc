#include "python/src/call_errors.h"

#include <regex>
#include <string>

#include "python/src/errors.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

using Dispatch = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);

Dispatch g_dispatch = nullptr;  // pybind11's, the same for all functions

// "(self: object, name: object, *, timeout: object = 0.0)" as "(self, name, *, timeout=0.0)".
std::string parameters_of(const std::string& text) {
  const std::size_t begin = text.find("1. (");
  const std::size_t end = text.find(") -> ", begin);
  if (begin == std::string::npos || end == std::string::npos) return "()";
  const std::string typed = text.substr(begin + 3, end + 1 - (begin + 3));
  const std::string plain = std::regex_replace(typed, std::regex(": [A-Za-z_][A-Za-z0-9_.]*"), "");
  return std::regex_replace(plain, std::regex(" = "), "=");
}

std::string types_of(PyObject* const* arguments, Py_ssize_t count, PyObject* names, Py_ssize_t first) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  for (Py_ssize_t i = first; i < count; ++i) add(Py_TYPE(arguments[i])->tp_name);
  for (Py_ssize_t i = 0; names != nullptr && i < PyTuple_GET_SIZE(names); ++i) {
    add(py::cast<std::string>(py::handle(PyTuple_GET_ITEM(names, i))) + "=" + Py_TYPE(arguments[count + i])->tp_name);
  }
  return text;
}

void reword(PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
  py::error_already_set error;
  const std::string text = py::cast<std::string>(py::str(error.value()));
  const std::size_t at = text.find("(): incompatible function arguments");
  if (at == std::string::npos) {
    error.restore();
    return;
  }
  std::string parameters = parameters_of(text);
  const bool is_method = parameters.starts_with("(self");
  if (is_method) parameters.erase(1, parameters.starts_with("(self, ") ? 6 : 4);
  const std::string message = text.substr(0, at) + "() takes " + parameters + ", not (" +
                              types_of(arguments, count, names, is_method ? 1 : 0) + ")";
  PyErr_SetString(PyExc_TypeError, message.c_str());
}

PyObject* call(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) noexcept {
  PyObject* const result = g_dispatch(self, arguments, count, names);
  if (result != nullptr || PyErr_ExceptionMatches(PyExc_TypeError) == 0) return result;
  try {
    reword(arguments, PyVectorcall_NARGS(static_cast<std::size_t>(count)), names);
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
  }
  return nullptr;
}

void reword_function(PyObject* function) {
  if (PyInstanceMethod_Check(function)) function = PyInstanceMethod_GET_FUNCTION(function);
  if (!PyCFunction_Check(function)) return;
  PyMethodDef* const method = reinterpret_cast<PyCFunctionObject*>(function)->m_ml;
  if (method->ml_flags != (METH_FASTCALL | METH_KEYWORDS)) return;
  const auto dispatch = reinterpret_cast<Dispatch>(reinterpret_cast<void (*)()>(method->ml_meth));
  if (g_dispatch == nullptr) g_dispatch = dispatch;
  if (dispatch == g_dispatch) method->ml_meth = reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call));
}

}  // namespace

void reword_call_errors(const py::module_& module) {
  for (const auto& [name, value] : py::cast<py::dict>(module.attr("__dict__"))) {
    reword_function(value.ptr());
    if (!PyType_Check(value.ptr())) continue;
    for (const py::handle key : py::list(value.attr("__dict__"))) {
      reword_function(py::object(value.attr("__dict__")[key]).ptr());
    }
  }
}

}  // namespace tensorbroker::python
