#include "python/src/signature.h"

#include <tensorbroker/error.h>

#include <optional>

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

std::string plain_type_name(py::handle value) { return Py_TYPE(value.ptr())->tp_name; }

// The value of an int; nullopt where 64 bits do not hold it. An error of Python's own __index__ goes on.
std::optional<std::int64_t> to_int64(py::handle value) {
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!index) throw py::error_already_set();
  int overflow = 0;
  const long long result = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0) return std::nullopt;
  return result;
}

}  // namespace

bool is_int(py::handle value) noexcept { return PyIndex_Check(value.ptr()) != 0 && PyBool_Check(value.ptr()) == 0; }

std::string Signature::argument(const char* name, int position) const {
  return std::string(function_) + "(): argument '" + name + "' (position " + std::to_string(position) + ")";
}

void Signature::refuse(py::handle value, const char* name, int position, const char* wanted) const {
  throw TypeError(argument(name, position) + " must be " + wanted + ", not " + plain_type_name(value));
}

std::int64_t Signature::integer(py::handle value, const char* name, int position) const {
  if (!is_int(value)) refuse(value, name, position, "int");
  if (const auto result = to_int64(value)) return *result;
  throw InvalidArgumentError("Overflow when unpacking long long: " + argument(name, position) + " is " +
                             py::cast<std::string>(py::repr(value)));
}

Dims Signature::unpack(py::handle values, const char* name) const {
  Dims result;
  int position = 0;
  const auto refuse_item = [&](const std::string& why) {
    throw TypeError(std::string(function_) + "(): argument '" + name + "' failed to unpack the object at pos " +
                    std::to_string(position) + " with error \"" + why + "\"");
  };
  for (const py::handle value : py::reinterpret_borrow<py::object>(values)) {
    ++position;
    if (!is_int(value)) refuse_item("type must be tuple of ints,but got " + plain_type_name(value));
    const auto number = to_int64(value);
    if (!number) refuse_item("Overflow when unpacking long long: " + py::cast<std::string>(py::repr(value)));
    result.push_back(*number);
  }
  return result;
}

Dims Signature::integers(const py::args& args, const char* name) const {
  if (args.empty()) {
    throw TypeError(std::string(function_) + "() missing 1 required positional arguments: \"" + name +
                    "\": ints, or one tuple or list of them");
  }
  if (args.size() > 1 || is_int(args[0])) return unpack(args, name);
  return tuple(args[0], name, 1);
}

Dims Signature::tuple(py::handle value, const char* name, int position, bool or_one) const {
  if (PyTuple_Check(value.ptr()) || PyList_Check(value.ptr())) return unpack(value, name);
  if (!or_one || !is_int(value)) refuse(value, name, position, "tuple of ints");
  return Dims{integer(value, name, position)};
}

}  // namespace tensorbroker::python
