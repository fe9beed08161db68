#include "python/src/scalars.h"

#include <pybind11/complex.h>
#include <tensorbroker/error.h>

#include <complex>
#include <type_traits>
#include <variant>

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

enum class Rank { kBool, kInteger, kFloat, kComplex };

Rank rank(DType dtype) noexcept {
  switch (info(dtype).kind) {
    case DTypeKind::kBool:
      return Rank::kBool;
    case DTypeKind::kSigned:
    case DTypeKind::kUnsigned:
      return Rank::kInteger;
    case DTypeKind::kFloat:
      return Rank::kFloat;
    case DTypeKind::kComplex:
      break;
  }
  return Rank::kComplex;
}

DType promote_integers(DType a, DType b) noexcept {
  if (info(a).kind == info(b).kind) return itemsize(a) >= itemsize(b) ? a : b;
  const DType with_sign = info(a).kind == DTypeKind::kSigned ? a : b;
  const DType without = with_sign == a ? b : a;
  if (itemsize(with_sign) > itemsize(without)) return with_sign;
  return itemsize(without) == 1 ? kInt16 : itemsize(without) == 2 ? kInt32 : kInt64;
}

DType promote_floats(DType a, DType b) noexcept {
  if (itemsize(a) != itemsize(b)) return itemsize(a) > itemsize(b) ? a : b;
  return kFloat32;  // float16 with bfloat16, or two formats of float8
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
  const bool integral = rank(dtype) == Rank::kInteger;
  const bool beyond_int64 = std::holds_alternative<std::uint64_t>(number.value) && number.dtype == kInt64;
  if (integral && (number.huge || (beyond_int64 && dtype != kUInt64))) {
    throw InvalidArgumentError("Overflow when unpacking long long: the int does not fit " + std::string(name(dtype)) +
                               "; give a dtype that holds it");
  }
}

DType promote(DType a, DType b) noexcept {
  if (a == b) return a;
  if (rank(a) != rank(b)) {
    const DType higher = rank(a) > rank(b) ? a : b;
    const DType lower = higher == a ? b : a;
    return higher == kComplex64 && lower == kFloat64 ? kComplex128 : higher;
  }
  switch (rank(a)) {
    case Rank::kInteger:
      return promote_integers(a, b);
    case Rank::kFloat:
      return promote_floats(a, b);
    default:
      return kComplex128;
  }
}

}  // namespace tensorbroker::python
