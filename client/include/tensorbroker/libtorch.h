// Tensors to and from libtorch's at::Tensor, without a copy. Header-only, included on request; wants the headers and
// libraries of libtorch (those of the PyTorch wheel will do), of which it includes as little as may be.
//
// to_torch gives what Tensor::exportable() does: the same memory where the tensor is writable, and where it is sealed
// private copy-on-write pages (a copy below 64 KiB), since torch knows no read-only memory. Each result keeps its
// memory, whatever becomes of the other and of the client. Thread safe as Tensor is.

#ifndef TENSORBROKER_LIBTORCH_H_
#define TENSORBROKER_LIBTORCH_H_

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <tensorbroker/tensor.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace tensorbroker {

namespace detail {
inline constexpr std::array<std::pair<DType, at::ScalarType>, 20> kScalarTypes{{
    {kBool, at::kBool},
    {kInt8, at::kChar},
    {kInt16, at::kShort},
    {kInt32, at::kInt},
    {kInt64, at::kLong},
    {kUInt8, at::kByte},
    {kUInt16, at::kUInt16},
    {kUInt32, at::kUInt32},
    {kUInt64, at::kUInt64},
    {kFloat16, at::kHalf},
    {kBFloat16, at::kBFloat16},
    {kFloat32, at::kFloat},
    {kFloat64, at::kDouble},
    {kComplex64, at::kComplexFloat},
    {kComplex128, at::kComplexDouble},
    {kFloat8E4M3Fn, at::kFloat8_e4m3fn},
    {kFloat8E5M2, at::kFloat8_e5m2},
    {kFloat8E4M3Fnuz, at::kFloat8_e4m3fnuz},
    {kFloat8E5M2Fnuz, at::kFloat8_e5m2fnuz},
    {kFloat8E8M0Fnu, at::kFloat8_e8m0fnu},
}};
}  // namespace detail

// torch's C++ types for what C++20 has none of: data_ptr<at::BFloat16>() and the like.
template <>
constexpr DType dtype_of<at::Half>() {
  return kFloat16;
}
template <>
constexpr DType dtype_of<at::BFloat16>() {
  return kBFloat16;
}
template <>
constexpr DType dtype_of<at::Float8_e4m3fn>() {
  return kFloat8E4M3Fn;
}
template <>
constexpr DType dtype_of<at::Float8_e5m2>() {
  return kFloat8E5M2;
}
template <>
constexpr DType dtype_of<at::Float8_e4m3fnuz>() {
  return kFloat8E4M3Fnuz;
}
template <>
constexpr DType dtype_of<at::Float8_e5m2fnuz>() {
  return kFloat8E5M2Fnuz;
}
template <>
constexpr DType dtype_of<at::Float8_e8m0fnu>() {
  return kFloat8E8M0Fnu;
}
template <>
constexpr DType dtype_of<c10::complex<float>>() {
  return kComplex64;
}
template <>
constexpr DType dtype_of<c10::complex<double>>() {
  return kComplex128;
}

inline at::ScalarType to_scalar_type(DType dtype) noexcept {
  return detail::kScalarTypes[static_cast<std::size_t>(dtype)].second;
}

// TypeError for a type that tensors do not have, as torch's quantized ones.
inline DType from_scalar_type(at::ScalarType type) {
  for (const auto& [dtype, scalar_type] : detail::kScalarTypes) {
    if (scalar_type == type) return dtype;
  }
  throw TypeError(std::string("torch's ") + at::toString(type) + " is not a dtype of tensors; convert it first");
}

// Throws ReadOnlyError as exportable().
inline at::Tensor to_torch(const Tensor& tensor) {
  Tensor exported = tensor.exportable();
  void* const data = exported.data();
  const at::IntArrayRef sizes(exported.sizes().data(), exported.sizes().size());
  const at::IntArrayRef strides(exported.strides().data(), exported.strides().size());
  const at::TensorOptions options = at::TensorOptions().dtype(to_scalar_type(tensor.dtype()));
  return at::from_blob(data, sizes, strides, [kept = exported](void*) mutable { kept = {}; }, options);
}

// A writable tensor over the strided memory of a tensor on the CPU, which it keeps. TypeError, saying what to call
// first, for another device or layout, a dtype that tensors do not have, or pending conjugation or negation.
inline Tensor from_torch(const at::Tensor& tensor) {
  if (!tensor.defined()) throw TypeError("the torch tensor is undefined");
  if (!tensor.device().is_cpu()) {
    throw TypeError("the torch tensor is on " + tensor.device().str() + "; call .cpu() first");
  }
  if (tensor.layout() != at::kStrided) throw TypeError("the torch tensor is not strided; call .to_dense() first");
  if (tensor.is_conj() || tensor.is_neg()) {
    throw TypeError("the torch tensor is a conjugated or negated view; call .resolve_conj() or .resolve_neg() first");
  }
  const DType dtype = from_scalar_type(tensor.scalar_type());
  const std::span<const std::int64_t> sizes(tensor.sizes().data(), tensor.sizes().size());
  const std::span<const std::int64_t> strides(tensor.strides().data(), tensor.strides().size());
  return from_blob(tensor.data_ptr(), sizes, strides, dtype, [kept = tensor](void*) mutable { kept.reset(); });
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_LIBTORCH_H_
