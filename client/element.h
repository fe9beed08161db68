// What the elements of each dtype are in C++: how to read them as a wide number and to write one as torch converts.
//
// A wide number is int64 (bool, signed), uint64, double (every float) or complex<double>: each holds every value of
// the dtypes that are read as it. Pure functions, safe from any thread. Addresses need no alignment.

#ifndef TENSORBROKER_CLIENT_ELEMENT_H_
#define TENSORBROKER_CLIENT_ELEMENT_H_

#include <tensorbroker/dtype.h>

#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "client/small_float.h"

namespace tensorbroker {

template <class T>
inline constexpr bool is_complex_v = false;
template <class T>
inline constexpr bool is_complex_v<std::complex<T>> = true;

// SmallFloat formats and the C++ types, told apart.
template <class T>
concept BitFormat = requires { typename T::Bits; };

// A float as an integer, as x86 converts: cut off, and the lowest integer for what does not fit (and NaN).
template <class Int>
Int cut_off(double value) noexcept {
  constexpr double kLimit = static_cast<double>(std::numeric_limits<Int>::max() / 2 + 1) * 2;
  if (!(value < kLimit && value > -kLimit - 1)) return std::numeric_limits<Int>::min();
  return static_cast<Int>(value);
}

// A float as an element of the integer type T: torch goes by way of int32 for the narrow ones, of int64 for uint32.
template <class T>
T float_to_integer(double value) noexcept {
  if constexpr (std::is_same_v<T, std::uint64_t>) {
    constexpr double kHalf = 9223372036854775808.0;
    if (value >= kHalf) return static_cast<T>(cut_off<std::int64_t>(value - kHalf)) ^ (T{1} << 63);
    return static_cast<T>(cut_off<std::int64_t>(value));
  } else if constexpr (sizeof(T) < 4 || std::is_same_v<T, std::int32_t>) {
    return static_cast<T>(cut_off<std::int32_t>(value));
  } else {
    return static_cast<T>(cut_off<std::int64_t>(value));
  }
}

// `value`, a wide number or a bool, as torch's Tensor.to() converts it; for a BitFormat the result is its bits.
template <class T, class Wide>
auto convert(Wide value) noexcept {
  if constexpr (std::is_same_v<T, bool>) {
    return value != Wide{};
  } else if constexpr (is_complex_v<T>) {
    using Part = typename T::value_type;
    if constexpr (is_complex_v<Wide>) {
      return T(static_cast<Part>(value.real()), static_cast<Part>(value.imag()));
    } else {
      return T(static_cast<Part>(value), 0);
    }
  } else if constexpr (is_complex_v<Wide>) {
    return convert<T>(value.real());
  } else if constexpr (BitFormat<T>) {
    return T::encode(static_cast<float>(value));
  } else if constexpr (std::is_integral_v<T> && std::is_floating_point_v<Wide>) {
    return float_to_integer<T>(value);
  } else {
    return static_cast<T>(value);
  }
}

// The element of type T at `data` as a wide number.
template <class T>
auto read_wide(const std::byte* data) noexcept {
  if constexpr (BitFormat<T>) {
    typename T::Bits bits;
    std::memcpy(&bits, data, sizeof bits);
    return static_cast<double>(T::decode(bits));
  } else if constexpr (std::is_same_v<T, bool>) {
    // Read as a byte: any value but 0 and 1 in a bool would be undefined behaviour.
    return static_cast<std::int64_t>(data[0] != std::byte{0});
  } else {
    T element;
    std::memcpy(&element, data, sizeof element);
    if constexpr (is_complex_v<T>) {
      return std::complex<double>(element);
    } else if constexpr (std::is_floating_point_v<T>) {
      return static_cast<double>(element);
    } else if constexpr (std::is_signed_v<T>) {
      return static_cast<std::int64_t>(element);
    } else {
      return static_cast<std::uint64_t>(element);
    }
  }
}

template <class T, class Wide>
void write_wide(std::byte* data, Wide value) noexcept {
  const auto element = convert<T>(value);
  std::memcpy(data, &element, sizeof element);
}

// Calls visit(std::type_identity<T>) with the C++ type, or the format, of `dtype`.
template <class Visit>
decltype(auto) visit_dtype(DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::kBool:
      return visit(std::type_identity<bool>{});
    case DType::kInt8:
      return visit(std::type_identity<std::int8_t>{});
    case DType::kInt16:
      return visit(std::type_identity<std::int16_t>{});
    case DType::kInt32:
      return visit(std::type_identity<std::int32_t>{});
    case DType::kInt64:
      return visit(std::type_identity<std::int64_t>{});
    case DType::kUInt8:
      return visit(std::type_identity<std::uint8_t>{});
    case DType::kUInt16:
      return visit(std::type_identity<std::uint16_t>{});
    case DType::kUInt32:
      return visit(std::type_identity<std::uint32_t>{});
    case DType::kUInt64:
      return visit(std::type_identity<std::uint64_t>{});
    case DType::kFloat16:
      return visit(std::type_identity<Float16>{});
    case DType::kBFloat16:
      return visit(std::type_identity<BFloat16>{});
    case DType::kFloat32:
      return visit(std::type_identity<float>{});
    case DType::kFloat64:
      return visit(std::type_identity<double>{});
    case DType::kComplex64:
      return visit(std::type_identity<std::complex<float>>{});
    case DType::kComplex128:
      return visit(std::type_identity<std::complex<double>>{});
    case DType::kFloat8E4M3Fn:
      return visit(std::type_identity<Float8E4M3Fn>{});
    case DType::kFloat8E5M2:
      return visit(std::type_identity<Float8E5M2>{});
    case DType::kFloat8E4M3Fnuz:
      return visit(std::type_identity<Float8E4M3Fnuz>{});
    case DType::kFloat8E5M2Fnuz:
      return visit(std::type_identity<Float8E5M2Fnuz>{});
    case DType::kFloat8E8M0Fnu:
      break;
  }
  return visit(std::type_identity<Float8E8M0Fnu>{});
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_ELEMENT_H_
