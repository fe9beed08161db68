#include <tensorbroker/error.h>

#include <cstdint>
#include <string>

#include "client/scalar.h"
#include "python/src/display.h"
#include "python/src/dtypes.h"
#include "python/src/indexing.h"
#include "python/src/scalars.h"
#include "python/src/tensor_class.h"

namespace tensorbroker::python {
namespace {

// The operators that stay with NumPy and torch.
constexpr const char* kOperators[] = {
    "add",       "sub",  "mul",     "truediv", "floordiv", "mod",       "divmod", "pow",  "matmul",
    "and",       "or",   "xor",     "lshift",  "rshift",   "radd",      "rsub",   "rmul", "rtruediv",
    "rfloordiv", "rmod", "rdivmod", "rpow",    "rmatmul",  "rand",      "ror",    "rxor", "rlshift",
    "rrshift",   "iadd", "isub",    "imul",    "itruediv", "ifloordiv", "imod",   "ipow", "imatmul",
    "iand",      "ior",  "ixor",    "ilshift", "irshift",  "lt",        "le",     "gt",   "ge"};
constexpr const char* kUnaryOperators[] = {"neg", "pos", "abs", "invert", "round"};

[[noreturn]] void refuse_arithmetic() {
  throw TypeError("arithmetic and comparisons are left to NumPy and torch: call .numpy() or .torch() first");
}

py::object item(const PyTensor& self) { return from_scalar(live(self).item()); }

bool to_bool(const PyTensor& self) {
  const Tensor& tensor = live(self);
  if (tensor.numel() == 0) throw RuntimeError("Boolean value of Tensor with no values is ambiguous");
  if (tensor.numel() > 1) throw RuntimeError("Boolean value of Tensor with more than one value is ambiguous");
  return py::cast<bool>(py::bool_(item(self)));
}

// item() as int() or float() has it; complex numbers must be real, as in torch.
py::object as_number(const PyTensor& self, const char* type, PyObject* (*convert)(PyObject*)) {
  if (live(self).numel() != 1)
    throw InvalidArgumentError("only one element tensors can be converted to Python scalars");
  py::object number = item(self);
  if (PyComplex_Check(number.ptr())) {
    if (PyComplex_ImagAsDouble(number.ptr()) != 0) {
      throw RuntimeError(std::string("value cannot be converted to type ") + type + " without overflow");
    }
    number = py::float_(PyComplex_RealAsDouble(number.ptr()));
  }
  PyObject* result = convert(number.ptr());
  if (result == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

py::object to_index(const PyTensor& self) {
  const Tensor& tensor = live(self);
  const DTypeKind kind = info(tensor.dtype()).kind;
  if (tensor.numel() != 1 || kind == DTypeKind::kFloat || kind == DTypeKind::kComplex) {
    throw TypeError("only integer tensors of a single element can be converted to an index");
  }
  return py::int_(item(self));
}

py::object list_of(const Tensor& tensor, const std::byte* data, std::size_t dim) {
  const Geometry& geometry = tensor.geometry();
  if (dim == geometry.sizes.size()) return from_scalar(load(data, tensor.dtype()));
  py::list result(static_cast<std::size_t>(geometry.sizes[dim]));
  const std::int64_t step = geometry.strides[dim] * static_cast<std::int64_t>(tensor.itemsize());
  for (std::int64_t i = 0; i < geometry.sizes[dim]; ++i) {
    PyList_SET_ITEM(result.ptr(), i, list_of(tensor, data + i * step, dim + 1).release().ptr());
  }
  return result;
}

py::object tolist(const PyTensor& self) {
  const Tensor tensor = live(self);
  const void* data = tensor.numel() == 0 ? nullptr : tensor.const_data();
  py::object list = list_of(tensor, static_cast<const std::byte*>(data), 0);
  if (data != nullptr) tensor.const_data();  // throws where its bytes were lost meanwhile
  return list;
}

std::int64_t length(const PyTensor& self) {
  if (live(self).dim() == 0) throw TypeError("len() of a 0-d tensor");
  return live(self).size(0);
}

py::iterator iterate(const PyTensor& self) {
  const Tensor tensor = live(self);
  if (tensor.dim() == 0) throw TypeError("iteration over a 0-d tensor");
  py::list items;
  for (std::int64_t i = 0; i < tensor.size(0); ++i) items.append(wrap(tensor.select(0, i)));
  return py::iter(items);
}

std::string repr(const PyTensor& self) {
  if (!self.tensor.defined()) return "tensor(<released>)";
  try {
    return self.tensor.to_string();
  } catch (const CorruptSegmentError&) {
    return "tensor(<corrupt>)";
  }
}

void refuse_operators(TensorClass& tensor) {
  for (const char* name : kOperators) {
    tensor.def(("__" + std::string(name) + "__").c_str(), [](const PyTensor&, py::handle) { refuse_arithmetic(); });
  }
  for (const char* name : kUnaryOperators) {
    tensor.def(("__" + std::string(name) + "__").c_str(), [](const PyTensor&) { refuse_arithmetic(); });
  }
}

void define_numbers(TensorClass& tensor) {
  tensor.def("item", &item)
      .def("tolist", &tolist)
      .def("__bool__", &to_bool)
      .def("__int__", [](const PyTensor& self) { return as_number(self, "int64_t", &PyNumber_Long); })
      .def("__float__", [](const PyTensor& self) { return as_number(self, "double", &PyNumber_Float); })
      .def("__complex__",
           [](const PyTensor& self) {
             return py::reinterpret_borrow<py::object>((PyObject*)&PyComplex_Type)(item(self));
           })
      .def("__index__", &to_index);
}

}  // namespace

void define_elements(TensorClass& tensor) {
  define_numbers(tensor);
  refuse_operators(tensor);
  tensor.def("__getitem__", [](const PyTensor& self, py::handle key) { return wrap(index(live(self), key)); })
      .def("__setitem__",
           [](const PyTensor& self, py::handle key, py::handle value) { assign(Tensor(live(self)), key, value); })
      .def("__len__", &length)
      .def("__iter__", &iterate)
      .def("__repr__", &repr)
      .def("_repr_html_", [](const py::object& self) { return to_html("tensor_html", self); })
      .def("__eq__",
           [](const PyTensor&, py::handle other) {
             if (!other.is_none()) refuse_arithmetic();
             return false;
           })
      .def("__ne__",
           [](const PyTensor&, py::handle other) {
             if (!other.is_none()) refuse_arithmetic();
             return true;
           })
      .def("__hash__", [](const py::object& self) { return reinterpret_cast<std::intptr_t>(self.ptr()) >> 4; })
      .def("__contains__", [](const PyTensor&, py::handle) { refuse_arithmetic(); });
}

}  // namespace tensorbroker::python
