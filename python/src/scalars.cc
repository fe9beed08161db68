#include "python/src/scalars.h"

#include <pybind11/complex.h>
#include <tensorbroker/error.h>

#include <array>
#include <complex>
#include <type_traits>
#include <variant>

#include "client/tensor_memory.h"
#include "python/src/dtypes.h"
#include "python/src/errors.h"
#include "python/src/numpy_api.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

Number int_number(PyObject* object) {
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow == 0) return {std::int64_t{value}, kInt64};
  if (overflow > 0) {
    const unsigned long long large = PyLong_AsUnsignedLongLong(object);
    if (PyErr_Occurred() == nullptr) return {std::uint64_t{large}, kInt64};
    PyErr_Clear();
  }
  const double nearest = PyLong_AsDouble(object);
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    throw InvalidArgumentError("Overflow when unpacking long long: the int is too large for any dtype");
  }
  return {nearest, kInt64, true};
}

// A NumPy scalar, read as the 0-d array that it is.
std::optional<Number> numpy_number(py::handle object) {
  const auto array = py::reinterpret_steal<py::object>(PyArray_FromScalar(object.ptr(), nullptr));
  if (!array) throw py::error_already_set();
  auto* elements = reinterpret_cast<PyArrayObject*>(array.ptr());
  const auto dtype = dtype_from_numpy(reinterpret_cast<PyObject*>(PyArray_DESCR(elements)));
  if (!dtype) {
    throw TypeError("cannot make a tensor of a NumPy scalar of type " + type_name(object) +
                    "; convert it first, for example with float()");
  }
  return Number{load(static_cast<const std::byte*>(PyArray_DATA(elements)), *dtype), *dtype};
}

}  // namespace

std::optional<Number> to_number(py::handle object) {
  PyObject* p = object.ptr();
  if (PyFloat_CheckExact(p)) return Number{PyFloat_AS_DOUBLE(p), kFloat32};
  if (PyBool_Check(p)) return Number{p == Py_True, kBool};
  if (PyLong_CheckExact(p)) return int_number(p);
  if (PyArray_CheckScalar(p)) return PyArray_Check(p) ? std::nullopt : numpy_number(object);
  if (PyLong_Check(p)) return int_number(p);
  if (PyFloat_Check(p)) return Number{PyFloat_AS_DOUBLE(p), kFloat32};
  if (PyComplex_Check(p)) {
    return Number{std::complex<double>(PyComplex_RealAsDouble(p), PyComplex_ImagAsDouble(p)), kComplex64};
  }
  return std::nullopt;
}

py::object from_scalar(const Scalar& value) {
  return std::visit([](const auto& number) -> py::object { return py::cast(number); }, value);
}

void check_fits(const Number& number, DType dtype) {
  const DTypeKind kind = info(dtype).kind;
  const bool integral = kind == DTypeKind::kSigned || kind == DTypeKind::kUnsigned;
  const bool beyond_int64 = std::holds_alternative<std::uint64_t>(number.value) && number.dtype == kInt64;
  if (integral && (number.huge || (beyond_int64 && dtype != kUInt64))) {
    throw InvalidArgumentError("Overflow when unpacking long long: the int does not fit " + std::string(name(dtype)) +
                               "; give a dtype that holds it");
  }
}

void check_64_bits(const Number& number) {
  if (!number.huge) return;
  PyErr_SetString(PyExc_OverflowError, "int too big to convert: tensors hold at most 64 bits of one");
  throw py::error_already_set();
}

Tensor to_tensor(const Number& number) {
  check_64_bits(number);
  constexpr std::array kWide{kBool, kInt64, kUInt64, kFloat64, kComplex128};  // by alternative of Scalar
  static_assert(kWide.size() == std::variant_size_v<Scalar>);
  return to_tensor(number, kWide[number.value.index()]);
}

Tensor to_tensor(const Number& number, DType dtype) {
  check_fits(number, dtype);
  const Tensor result = new_tensor({}, dtype);
  return result.fill_(number.value);
}

}  // namespace tensorbroker::python
