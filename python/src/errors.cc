#include "python/src/errors.h"

#include <array>
#include <cerrno>
#include <exception>
#include <string>

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

// By error code, for the life of the process.
std::array<PyObject*, 17> g_classes{};

PyObject*& class_of(ErrorCode code) { return g_classes[static_cast<std::size_t>(code)]; }

// Its text is the stub's.
PyObject* define(py::module_& module, const char* name, const py::tuple& bases) {
  const std::string full_name = std::string("tensorbroker.") + name;
  PyObject* type = PyErr_NewException(full_name.c_str(), bases.ptr(), nullptr);
  if (type == nullptr) throw py::error_already_set();
  module.add_object(name, py::handle(type));
  return type;
}

// The class of an error: Error itself for a plain Error that bears the code of a builtin.
PyObject* class_of(const Error& error) noexcept {
  const auto index = static_cast<std::size_t>(error.code());
  PyObject* type = index < g_classes.size() ? g_classes[index] : nullptr;
  const bool plain_runtime =
      error.code() == ErrorCode::kRuntime && dynamic_cast<const RuntimeError*>(&error) == nullptr;
  return type == nullptr || plain_runtime ? class_of(ErrorCode::kOk) : type;
}

void define_classes(py::module_& module) {
  PyObject* error = define(module, "Error", py::make_tuple(py::handle(PyExc_Exception)));
  const auto both = [&](PyObject* builtin) { return py::make_tuple(py::handle(error), py::handle(builtin)); };
  class_of(ErrorCode::kOk) = error;
  class_of(ErrorCode::kNotFound) = define(module, "NotFoundError", both(PyExc_KeyError));
  // KeyError shows its message quoted; this one is prose.
  py::setattr(class_of(ErrorCode::kNotFound), "__str__", py::handle(PyExc_Exception).attr("__str__"));
  class_of(ErrorCode::kExists) = define(module, "ExistsError", both(PyExc_FileExistsError));
  class_of(ErrorCode::kOutOfMemory) = define(module, "OutOfMemoryError", both(PyExc_MemoryError));
  class_of(ErrorCode::kQuota) =
      define(module, "QuotaError", py::make_tuple(py::handle(class_of(ErrorCode::kOutOfMemory))));
  class_of(ErrorCode::kReadOnly) = define(module, "ReadOnlyError", both(PyExc_ValueError));
  class_of(ErrorCode::kAccess) = define(module, "AccessError", both(PyExc_PermissionError));
  class_of(ErrorCode::kBrokerUnavailable) = define(module, "BrokerUnavailableError", both(PyExc_ConnectionError));
  class_of(ErrorCode::kVersionMismatch) = define(module, "VersionMismatchError", both(PyExc_RuntimeError));
  class_of(ErrorCode::kCorruptSegment) = define(module, "CorruptSegmentError", both(PyExc_RuntimeError));
  class_of(ErrorCode::kClosed) = define(module, "ClosedError", both(PyExc_RuntimeError));
  class_of(ErrorCode::kTimeout) = PyExc_TimeoutError;
  class_of(ErrorCode::kInvalidArgument) = PyExc_ValueError;
  class_of(ErrorCode::kType) = PyExc_TypeError;
  class_of(ErrorCode::kIndex) = PyExc_IndexError;
  class_of(ErrorCode::kRuntime) = PyExc_RuntimeError;
  class_of(ErrorCode::kFile) = PyExc_OSError;
}

// OSError chooses the subclass by its number: FileNotFoundError and the like.
void set_file_error(const FileError& error) {
  const py::object path = py::reinterpret_steal<py::object>(PyUnicode_DecodeFSDefault(error.path().c_str()));
  if (!path) return;
  errno = error.error_number();
  PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
}

}  // namespace

// A message may hold what a user sent, which need not be UTF-8.
void set_python_error(const Error& error) noexcept {
  const std::string_view what = error.what();
  PyObject* const message = PyUnicode_DecodeUTF8(what.data(), static_cast<Py_ssize_t>(what.size()), "backslashreplace");
  if (message == nullptr) return;  // MemoryError is set
  PyErr_SetObject(class_of(error), message);
  Py_DECREF(message);
}

std::string type_name(py::handle object) { return std::string("'") + Py_TYPE(object.ptr())->tp_name + "'"; }

void define_errors(py::module_& module) {
  define_classes(module);
  py::register_local_exception_translator([](std::exception_ptr raised) {
    try {
      if (raised) std::rethrow_exception(raised);
    } catch (const FileError& error) {
      set_file_error(error);
    } catch (const Error& error) {
      set_python_error(error);
    }
  });
}

}  // namespace tensorbroker::python
