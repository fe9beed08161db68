// Element types, in one table that serves C++, Python, NumPy, DLPack, torch and safetensors.
//
// A DType is a plain value; everything here is pure and thread safe.

#ifndef TENSORBROKER_DTYPE_H_
#define TENSORBROKER_DTYPE_H_

#include <complex>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tensorbroker {

// The numbers are stored in headers: append only.
enum class DType : std::uint8_t {
  kBool = 0,
  kInt8 = 1,
  kInt16 = 2,
  kInt32 = 3,
  kInt64 = 4,
  kUInt8 = 5,
  kUInt16 = 6,
  kUInt32 = 7,
  kUInt64 = 8,
  kFloat16 = 9,
  kBFloat16 = 10,
  kFloat32 = 11,
  kFloat64 = 12,
  kComplex64 = 13,
  kComplex128 = 14,
  kFloat8E4M3Fn = 15,
  kFloat8E5M2 = 16,
  kFloat8E4M3Fnuz = 17,
  kFloat8E5M2Fnuz = 18,
  kFloat8E8M0Fnu = 19,
};

enum class DTypeKind : std::uint8_t { kBool, kSigned, kUnsigned, kFloat, kComplex };

inline constexpr DType kBool = DType::kBool;
inline constexpr DType kInt8 = DType::kInt8;
inline constexpr DType kInt16 = DType::kInt16;
inline constexpr DType kInt32 = DType::kInt32;
inline constexpr DType kInt64 = DType::kInt64;
inline constexpr DType kUInt8 = DType::kUInt8;
inline constexpr DType kUInt16 = DType::kUInt16;
inline constexpr DType kUInt32 = DType::kUInt32;
inline constexpr DType kUInt64 = DType::kUInt64;
inline constexpr DType kFloat16 = DType::kFloat16;
inline constexpr DType kBFloat16 = DType::kBFloat16;
inline constexpr DType kFloat32 = DType::kFloat32;
inline constexpr DType kFloat64 = DType::kFloat64;
inline constexpr DType kComplex64 = DType::kComplex64;
inline constexpr DType kComplex128 = DType::kComplex128;
inline constexpr DType kFloat8E4M3Fn = DType::kFloat8E4M3Fn;
inline constexpr DType kFloat8E5M2 = DType::kFloat8E5M2;
inline constexpr DType kFloat8E4M3Fnuz = DType::kFloat8E4M3Fnuz;
inline constexpr DType kFloat8E5M2Fnuz = DType::kFloat8E5M2Fnuz;
inline constexpr DType kFloat8E8M0Fnu = DType::kFloat8E8M0Fnu;

// One row of the table.
struct DTypeInfo {
  DType dtype;
  std::string_view name;         // torch's, NumPy's and ml_dtypes' name: "float32", "float8_e4m3fn"
  std::string_view numpy;        // array-protocol type string ("<f4"), or "" where ml_dtypes is needed
  std::string_view buffer;       // the buffer protocol's format, as of the struct module; "" where it has none
  std::string_view safetensors;  // "F32", "BF16", "F8_E4M3"; "" where safetensors 0.8 has none
  std::string_view scalar_type;  // torch's C++ name, which its messages use: "Float", "ComplexDouble"
  std::uint8_t itemsize;         // bytes
  DTypeKind kind;
  std::uint8_t dlpack_code;  // DLDataTypeCode of DLPack 1.1
  std::uint8_t dlpack_bits;
};

// All rows, in the order of the enumeration.
std::span<const DTypeInfo> all_dtypes() noexcept;

// The row of `dtype`. REQUIRES: a value of the enumeration (check what comes from outside with dtype_from_code).
const DTypeInfo& info(DType dtype) noexcept;

inline std::size_t itemsize(DType dtype) noexcept { return info(dtype).itemsize; }
inline std::string_view name(DType dtype) noexcept { return info(dtype).name; }

// The dtype for a number from outside, a name, safetensors' name, or a DLPack (code, bits) pair; nullopt where there is
// none.
// Names also take torch's aliases ("float", "double", "half", "int", "long", "short", "cfloat", "cdouble").
std::optional<DType> dtype_from_code(std::uint8_t code) noexcept;
std::optional<DType> dtype_from_name(std::string_view name) noexcept;
std::optional<DType> dtype_from_safetensors(std::string_view name) noexcept;
std::optional<DType> dtype_from_dlpack(std::uint8_t code, std::uint8_t bits) noexcept;

// dtype_of<float>() == kFloat32: the dtype that stores a C++ type. float16, bfloat16 and float8 have none.
template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<bool>() {
  return kBool;
}
template <>
constexpr DType dtype_of<std::int8_t>() {
  return kInt8;
}
template <>
constexpr DType dtype_of<std::int16_t>() {
  return kInt16;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return kInt32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return kInt64;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return kUInt8;
}
template <>
constexpr DType dtype_of<std::uint16_t>() {
  return kUInt16;
}
template <>
constexpr DType dtype_of<std::uint32_t>() {
  return kUInt32;
}
template <>
constexpr DType dtype_of<std::uint64_t>() {
  return kUInt64;
}
template <>
constexpr DType dtype_of<float>() {
  return kFloat32;
}
template <>
constexpr DType dtype_of<double>() {
  return kFloat64;
}
template <>
constexpr DType dtype_of<std::complex<float>>() {
  return kComplex64;
}
template <>
constexpr DType dtype_of<std::complex<double>>() {
  return kComplex128;
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_DTYPE_H_
