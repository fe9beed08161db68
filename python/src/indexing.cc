#include "python/src/indexing.h"

#include <tensorbroker/error.h>

#include <optional>
#include <string>
#include <vector>

#include "client/strided.h"
#include "python/src/arguments.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/literal.h"
#include "python/src/memory.h"
#include "python/src/numpy_api.h"
#include "python/src/py_tensor.h"
#include "python/src/scalars.h"
#include "python/src/source.h"

namespace tensorbroker::python {
namespace {

[[noreturn]] void refuse_index(py::handle item) {
  const bool is_number = to_number(item).has_value() && !PyBool_Check(item.ptr());
  if (!is_number && (is_literal(item) || is_array_like(item))) {
    throw TypeError("indexing with " + type_name(item) +
                    " makes a copy, which is left to NumPy and torch: call .numpy()[...] "
                    "or .torch()[...]");
  }
  throw IndexError("only integers, slices (`:`), ellipsis (`...`) and None are valid indices (got " + type_name(item) +
                   ")");
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

bool is_index(py::handle item) {
  if (PyBool_Check(item.ptr()) || PyIndex_Check(item.ptr()) == 0) return false;
  if (PyArray_Check(item.ptr())) return PyArray_NDIM(reinterpret_cast<PyArrayObject*>(item.ptr())) == 0;
  if (const PyTensor* tensor = as_tensor(item)) return live(*tensor).dim() == 0;
  return !is_torch_tensor(item) || py::cast<int>(item.attr("dim")()) == 0;
}

Index to_index(py::handle item) {
  if (item.is_none()) return NewAxis{};
  if (item.ptr() == Py_Ellipsis) return Ellipsis{};
  if (PySlice_Check(item.ptr())) return to_slice(item);
  if (!is_index(item)) refuse_index(item);
  return to_int(item, "an index");
}

// A destination whose elements lie on one another has no defined result.
void check_apart_within(const Geometry& geometry) {
  for (std::size_t d = 0; d < geometry.sizes.size(); ++d) {
    if (geometry.sizes[d] > 1 && geometry.strides[d] == 0) {
      throw RuntimeError(
          "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
          "Please clone() the tensor before performing the operation.");
    }
  }
}

// `source` with the sizes of `target`, as torch broadcasts in an assignment: leading dimensions of size 1 are dropped.
Tensor expanded(Tensor source, const Tensor& target) {
  while (source.dim() > target.dim() && source.size(0) == 1) source = source.select(0, 0);
  return source.expand(target.sizes());
}

void copy(const Tensor& target, const Tensor& source) {
  const NoGil no_gil;
  const Tensor from = are_apart(target, source) ? source : clone(source);
  if (from.dtype() == target.dtype()) {
    copy_strided(target.geometry(), base_of(target), from.geometry(), base_of(from), target.itemsize());
  } else {
    copy_convert(target.geometry(), target.dtype(), base_of(target), from.geometry(), from.dtype(), base_of(from));
  }
}

}  // namespace

Tensor index(const Tensor& tensor, py::handle key) {
  std::vector<Index> indices;
  if (PyTuple_Check(key.ptr())) {
    for (const py::handle item : py::reinterpret_borrow<py::tuple>(key)) indices.push_back(to_index(item));
  } else {
    indices.push_back(to_index(key));
  }
  return tensor.index(indices);
}

void assign(const Tensor& target, py::handle value) {
  target.data();  // ReadOnlyError
  check_apart_within(target.geometry());
  if (const auto number = to_number(value)) {
    check_fits(*number, target.dtype());
    const NoGil no_gil;
    if (target.numel() != 0) fill(target.geometry(), target.dtype(), base_of(target), number->value);
    return;
  }
  const Tensor source =
      expanded(is_array_like(value) ? source_tensor(value) : from_literal(value, std::nullopt), target);
  if (target.numel() != 0) copy(target, source);
}

}  // namespace tensorbroker::python
