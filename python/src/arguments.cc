#include "python/src/arguments.h"

#include <tensorbroker/error.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "python/src/errors.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

std::string shown(py::handle value) { return py::cast<std::string>(py::repr(value)); }

// The factor of a unit of bytes; 0 for what is none. KiB and K are 1024, KB is 1000.
std::uint64_t unit_factor(std::string unit) {
  for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (unit.empty() || unit == "b") return 1;
  const std::size_t power = std::string_view("kmgt").find(unit[0]);
  if (power == std::string_view::npos) return 0;
  const std::string_view rest = std::string_view(unit).substr(1);
  if (!rest.empty() && rest != "b" && rest != "ib") return 0;
  std::uint64_t factor = 1;
  for (std::size_t i = 0; i <= power; ++i) factor *= rest == "b" ? 1000 : 1024;
  return factor;
}

std::uint64_t parse_bytes(const std::string& text) {
  const std::size_t digits = text.find_first_not_of("0123456789.");
  const std::string number = text.substr(0, digits);
  std::string unit = digits == std::string::npos ? "" : text.substr(digits);
  while (!unit.empty() && unit.front() == ' ') unit.erase(0, 1);
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  const std::uint64_t factor = unit_factor(unit);
  const double bytes = value * static_cast<double>(factor);
  if (error != std::errc() || end != number.data() + number.size() || factor == 0 || bytes >= 9.2e18) {
    throw InvalidArgumentError("'" + text + "' is no number of bytes; give an int, or text such as '512MiB' or '8GiB'");
  }
  return static_cast<std::uint64_t>(bytes);
}

std::string json_dumps(py::handle metadata) {
  const py::object dumps = py::module_::import("json").attr("dumps");
  try {
    const py::object text = dumps(metadata, py::arg("allow_nan") = false, py::arg("ensure_ascii") = false,
                                  py::arg("separators") = py::make_tuple(",", ":"));
    return py::cast<std::string>(text.attr("encode")());
  } catch (py::error_already_set& error) {
    const std::string reason = py::cast<std::string>(py::str(error.value()));
    if (error.matches(PyExc_TypeError)) {
      throw TypeError("metadata must consist of JSON values (str, int, float, bool, None, list, dict): " + reason);
    }
    if (error.matches(PyExc_ValueError)) {
      throw InvalidArgumentError(
          "metadata must be what JSON can say (no NaN, no infinity, no cycles, valid Unicode): " + reason);
    }
    if (error.matches(PyExc_RecursionError)) {
      throw InvalidArgumentError("metadata must not be nested as deep as this: " + reason);
    }
    throw;
  }
}

bool within_double(PyObject* number) {
  const double nearest = PyLong_AsDouble(number);
  const bool fits = PyErr_Occurred() == nullptr || nearest != -1.0;
  PyErr_Clear();
  return fits;
}

// JSON's numbers have no bounds, those of its readers do: C++ takes what a double reaches.
// What is checked was written by dumps(), and so is neither cyclic nor deep.
void check_numbers(py::handle value) {
  if (PyLong_Check(value.ptr())) {
    if (within_double(value.ptr())) return;
    throw InvalidArgumentError(
        "metadata must be what JSON's readers can hold, numbers below 1.8e308; write larger "
        "ones as text");
  }
  if (PyDict_Check(value.ptr())) {
    for (const auto& [key, item] : py::reinterpret_borrow<py::dict>(value)) check_numbers(item);
  } else if (PyList_Check(value.ptr()) || PyTuple_Check(value.ptr())) {
    for (const py::handle item : py::reinterpret_borrow<py::sequence>(value)) check_numbers(item);
  }
}

}  // namespace

std::string to_text(py::handle text) {
  Py_ssize_t size = 0;
  const char* utf8 = PyUnicode_Check(text.ptr()) ? PyUnicode_AsUTF8AndSize(text.ptr(), &size) : nullptr;
  if (utf8 == nullptr) PyErr_Clear();
  return {utf8 == nullptr ? "" : utf8, static_cast<std::size_t>(size)};
}

std::string_view to_name(py::handle name) {
  if (!PyUnicode_Check(name.ptr())) throw TypeError("a name is a str, not " + type_name(name));
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(name.ptr(), &size);
  if (text == nullptr) {
    PyErr_Clear();
    throw InvalidArgumentError("the name " + shown(name) +
                               " is not valid Unicode (it has a lone surrogate), so it cannot be "
                               "written as UTF-8; decode it properly first");
  }
  return {text, static_cast<std::size_t>(size)};
}

std::int64_t to_int(py::handle value, const char* what) {
  const auto index =
      PyBool_Check(value.ptr()) ? py::object() : py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  if (!index) {
    PyErr_Clear();
    throw TypeError(std::string(what) + " must be an int, not " + type_name(value));
  }
  int overflow = 0;
  const long long result = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0) throw InvalidArgumentError(std::string(what) + " of " + shown(value) + " does not fit 64 bits");
  return result;
}

std::string to_metadata(py::handle metadata) {
  if (metadata.is_none()) return {};
  if (!PyDict_Check(metadata.ptr())) {
    throw TypeError("metadata must be a dict of JSON values such as {'step': 1}, not " + type_name(metadata));
  }
  for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(metadata)) {
    if (!PyUnicode_Check(key.ptr())) throw TypeError("the keys of metadata must be str, not " + type_name(key));
  }
  std::string text = json_dumps(metadata);
  check_numbers(metadata);
  return text;
}

py::object from_metadata(std::string_view text) {
  if (text.empty() || text == "{}") return py::dict();
  return py::module_::import("json").attr("loads")(py::str(text.data(), text.size()));
}

std::uint64_t to_version(py::handle newer_than) {
  const std::int64_t version = to_int(newer_than, "newer_than");
  if (version < 0) throw InvalidArgumentError("newer_than must be a version or 0, not " + std::to_string(version));
  return static_cast<std::uint64_t>(version);
}

std::optional<std::chrono::duration<double>> to_timeout(py::handle timeout) {
  if (timeout.is_none()) return std::nullopt;
  const double seconds = PyFloat_AsDouble(timeout.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw TypeError("timeout must be seconds as a number, or None to wait for ever, not " + type_name(timeout));
  }
  if (std::isnan(seconds) || seconds < 0) {
    throw InvalidArgumentError("timeout must be seconds from 0 up, or None to wait for ever, not " + shown(timeout));
  }
  constexpr double kForEver = 1e9;  // 30 years; what a clock can add is not much more
  if (seconds > kForEver) return std::nullopt;
  return std::chrono::duration<double>(seconds);
}

std::chrono::duration<double> to_spin(py::handle spin) {
  const double seconds = PyFloat_AsDouble(spin.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw TypeError("spin must be seconds as a number, such as 50e-6, or 0 to sleep at once, not " + type_name(spin));
  }
  if (!std::isfinite(seconds) || seconds < 0) {
    throw InvalidArgumentError("spin must be finite seconds from 0 up, such as 50e-6, or 0 to sleep at once, not " +
                               shown(spin));
  }
  return std::chrono::duration<double>(seconds);
}

std::uint64_t to_bytes(py::handle value) {
  if (PyUnicode_Check(value.ptr())) return parse_bytes(to_text(value));
  const std::int64_t bytes = to_int(value, "a number of bytes");
  if (bytes < 0) throw InvalidArgumentError("a number of bytes cannot be negative: " + std::to_string(bytes));
  return static_cast<std::uint64_t>(bytes);
}

OpenMode to_mode(py::handle mode) {
  const std::string text = to_text(mode);
  if (text == "r") return OpenMode::kRead;
  if (text == "r+") return OpenMode::kReadWrite;
  if (text == "c") return OpenMode::kCopyOnWrite;
  refuse_word(mode, "mode must be 'r' (read), 'r+' (read and write, mutable tensors) or 'c' (private copy-on-write)");
}

void refuse_word(py::handle given, const std::string& wanted) {
  const std::string text = wanted + ", not " + shown(given);
  if (PyUnicode_Check(given.ptr())) throw InvalidArgumentError(text);
  throw TypeError(text);
}

std::string to_path(py::handle path) {
  if (path.is_none()) return {};
  const auto text = py::reinterpret_steal<py::object>(PyOS_FSPath(path.ptr()));
  if (!text) throw py::error_already_set();
  const auto bytes =
      PyBytes_Check(text.ptr()) ? text : py::reinterpret_steal<py::object>(PyUnicode_EncodeFSDefault(text.ptr()));
  if (!bytes) throw py::error_already_set();
  std::string result(PyBytes_AS_STRING(bytes.ptr()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.ptr())));
  if (result.empty()) throw InvalidArgumentError("a path cannot be empty; leave it out for the default");
  return result;
}

py::tuple to_tuple(std::span<const std::int64_t> values) {
  py::tuple result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) result[i] = values[i];
  return result;
}

py::object to_size(std::span<const std::int64_t> values) {
  static PyObject* const type = py::object(py::module_::import("tensorbroker._size").attr("Size")).release().ptr();
  return py::handle(type)(to_tuple(values));
}

}  // namespace tensorbroker::python
