#include "python/src/indexing.h"

#include <tensorbroker/error.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "python/src/gil.h"
#include "python/src/literal.h"
#include "python/src/numpy_api.h"
#include "python/src/py_tensor.h"
#include "python/src/scalars.h"
#include "python/src/signature.h"
#include "python/src/source.h"

namespace tensorbroker::python {
namespace {

[[noreturn]] void refuse_index(py::handle item) {
  throw IndexError(
      "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got " +
      std::string(Py_TYPE(item.ptr())->tp_name) + ")");
}

std::optional<std::int64_t> to_bound(py::handle bound) {
  if (bound.is_none()) return std::nullopt;
  // Beyond 64 bits is the end in that direction, as Python's sequences have it.
  const Py_ssize_t value = PyNumber_AsSsize_t(bound.ptr(), nullptr);
  if (value == -1 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw TypeError("slice indices must be integers or None or have an __index__ method");
  }
  return value;
}

Slice to_slice(py::handle item) {
  const auto* slice = reinterpret_cast<PySliceObject*>(item.ptr());
  return {to_bound(slice->start), to_bound(slice->stop), to_bound(slice->step).value_or(1)};
}

std::int64_t to_integer(py::handle item) {
  int overflow = 0;
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(item.ptr()));
  if (!index) throw py::error_already_set();
  const long long value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow != 0) {
    throw InvalidArgumentError("Overflow when unpacking long long: the index " + py::cast<std::string>(py::repr(item)) +
                               " does not fit 64 bits");
  }
  return value;
}

bool is_tensor(py::handle item) { return as_tensor(item) != nullptr || is_torch_tensor(item); }

bool is_text(py::handle item) { return PyUnicode_Check(item.ptr()) != 0 || PyBytes_Check(item.ptr()) != 0; }

// A list or array of indices: a mask where its elements are bool or uint8, else integers, cut off where they are
// floats.
Tensor to_index_tensor(py::handle item) {
  if (is_text(item)) {
    throw TypeError("a tensor cannot be indexed with text: " + py::cast<std::string>(py::repr(item)));
  }
  const Tensor tensor = is_array_like(item) ? source_tensor(item) : from_literal(item, std::nullopt);
  const bool is_mask = tensor.dtype() == kBool || tensor.dtype() == kUInt8;
  return is_mask ? tensor : tensor.to(kInt64);
}

TensorIndex to_term(py::handle item) {
  if (item.is_none()) return NewAxis{};
  if (item.ptr() == Py_Ellipsis) return Ellipsis{};
  if (PyBool_Check(item.ptr())) return item.ptr() == Py_True;
  if (PyLong_Check(item.ptr())) return to_integer(item);
  if (PySlice_Check(item.ptr())) return to_slice(item);
  if (is_tensor(item)) return source_tensor(item);
  if (is_int(item) && PyArray_IsScalar(item.ptr(), Generic)) return to_integer(item);
  if (PySequence_Check(item.ptr()) != 0 || PyArray_Check(item.ptr())) return to_index_tensor(item);
  if (is_int(item)) return to_integer(item);
  refuse_index(item);
}

// torch 2.13 takes a list for a tuple where it is short and something in it is no number.
bool stands_for_tuple(py::handle key) {
  constexpr Py_ssize_t kShort = 32;
  if (PyTuple_Check(key.ptr())) return true;
  if (!PyList_Check(key.ptr()) || PyList_GET_SIZE(key.ptr()) >= kShort) return false;
  for (const py::handle item : py::reinterpret_borrow<py::list>(key)) {
    PyObject* p = item.ptr();
    if (item.is_none() || p == Py_Ellipsis || PySlice_Check(p) || PySequence_Check(p) || is_tensor(item)) return true;
  }
  return false;
}

std::vector<TensorIndex> to_terms(py::handle key) {
  std::vector<TensorIndex> terms;
  if (!stands_for_tuple(key)) {
    terms.push_back(to_term(key));
    return terms;
  }
  // A copy: an item's own code may change a list.
  for (const py::handle item : py::tuple(py::reinterpret_borrow<py::object>(key))) terms.push_back(to_term(item));
  return terms;
}

// torch assigns what int64 holds, whatever the dtype; here uint64 takes all of its own numbers besides.
void check_int64(const Number& number, DType dtype) {
  const bool beyond = std::holds_alternative<std::uint64_t>(number.value) && number.dtype == kInt64;
  if (!number.huge && (!beyond || dtype == kUInt64)) return;
  throw InvalidArgumentError("Overflow when unpacking long long: an assigned int must fit " +
                             std::string(dtype == kUInt64 ? "uint64" : "int64") + "; assign a float instead");
}

// The value of an assignment. What is no tensor takes the dtype that it is written to.
Tensor to_value(py::handle value, DType dtype) {
  if (const auto number = to_number(value)) {
    check_int64(*number, dtype);
    return to_tensor(*number, dtype);
  }
  if (is_tensor(value)) return source_tensor(value);
  if (is_array_like(value)) return source_tensor(value).to(dtype);
  return from_literal(value, dtype);
}

}  // namespace

Tensor index(Tensor tensor, py::handle key) {
  if (PyLong_CheckExact(key.ptr())) {
    const Index only = to_integer(key);
    return tensor.index(std::span(&only, 1));
  }
  std::vector<TensorIndex> terms = to_terms(key);
  const NoGil no_gil;
  tensor = tensor.index(terms);
  return tensor;
}

void assign(const Tensor& tensor, py::handle key, py::handle value) {
  tensor.data();  // ReadOnlyError
  const Tensor source = to_value(value, tensor.dtype());
  if (PyBool_Check(key.ptr())) {  // alone it is no mask: everything or nothing
    if (key.ptr() == Py_False) return;
    key = Py_None;
  }
  const std::vector<TensorIndex> terms = to_terms(key);
  const NoGil no_gil;
  tensor.index_put_(terms, source);
}

}  // namespace tensorbroker::python
