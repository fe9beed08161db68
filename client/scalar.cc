#include "client/scalar.h"

#include <tensorbroker/error.h>

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include "client/element.h"

namespace tensorbroker {
namespace {

// What torch calls the type in "value cannot be converted to type ... without overflow".
template <class T>
std::string c_name() {
  if constexpr (std::is_same_v<T, std::int32_t>) return "int";
  if constexpr (std::is_same_v<T, float>) return "float";
  // float16, bfloat16 and float8 are filled by way of double.
  if constexpr (BitFormat<T> || std::is_same_v<T, double>) return "double";
  if constexpr (std::is_same_v<T, std::complex<float>>) return "c10::complex<float>";
  if constexpr (std::is_integral_v<T>) {
    return (std::is_signed_v<T> ? "int" : "uint") + std::to_string(8 * sizeof(T)) + "_t";
  }
  return "c10::complex<double>";
}

[[noreturn]] void throw_overflow(const std::string& type) {
  throw RuntimeError("value cannot be converted to type " + type + " without overflow");
}

bool overflows_float(double value) noexcept {
  return std::isfinite(value) && std::abs(value) > std::numeric_limits<float>::max();
}

// Whether the integer type T does not hold `value`, by torch's rules: a negative integer wraps in an unsigned type
// as long as its magnitude fits; a float must lie between the type's limits before it is cut off.
template <class T, class Value>
bool overflows_integer(Value value) noexcept {
  constexpr T kLowest = std::numeric_limits<T>::lowest();
  constexpr T kHighest = std::numeric_limits<T>::max();
  if constexpr (std::is_floating_point_v<Value>) {
    return !(value >= static_cast<double>(kLowest) && value <= static_cast<double>(kHighest));
  } else if constexpr (std::is_same_v<Value, std::uint64_t>) {
    return value > static_cast<std::uint64_t>(kHighest);
  } else if constexpr (std::is_signed_v<T>) {
    return value < kLowest || value > kHighest;
  } else {
    return (value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value)) > kHighest;
  }
}

template <class T, class Value>
bool overflows(Value value) noexcept {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<Value, bool>) {
    return false;
  } else if constexpr (is_complex_v<Value>) {
    if constexpr (is_complex_v<T>) return overflows<T>(value.real()) || overflows<T>(value.imag());
    return value.imag() != 0 || overflows<T>(value.real());
  } else if constexpr (std::is_same_v<T, float> || std::is_same_v<T, std::complex<float>>) {
    return overflows_float(static_cast<double>(value));
  } else if constexpr (std::is_integral_v<T>) {
    return overflows_integer<T>(value);
  } else {
    return false;
  }
}

// As C++ has std::numeric_limits of the format: an infinity is within where the format has one, NaN is everywhere.
template <class T>
bool is_in_range(double value) noexcept {
  if (std::isnan(value)) return true;
  if (std::isinf(value)) return std::isinf(T::decode(T::encode(static_cast<float>(value))));
  return value >= static_cast<double>(T::lowest()) && value <= static_cast<double>(T::largest());
}

template <class Value>
void refuse_literal(DType dtype, Value value) {
  if constexpr (is_complex_v<Value>) {
    const DTypeKind kind = info(dtype).kind;
    if (kind == DTypeKind::kFloat) throw TypeError("must be real number, not complex");
    if (dtype == DType::kUInt64) throw TypeError("an integer is required");
    if (kind == DTypeKind::kSigned || kind == DTypeKind::kUnsigned) {
      throw TypeError("'complex' object cannot be interpreted as an integer");
    }
  } else if constexpr (std::is_same_v<Value, std::int64_t>) {
    if (dtype == DType::kUInt64 && value < 0) throw InvalidArgumentError("can't convert negative int to unsigned");
  } else if constexpr (std::is_same_v<Value, double>) {
    if (dtype == DType::kUInt64) throw TypeError("an integer is required");
  }
}

}  // namespace

Scalar load(const std::byte* data, DType dtype) noexcept {
  return visit_dtype(dtype, [data]<class T>(std::type_identity<T>) -> Scalar {
    if constexpr (std::is_same_v<T, bool>) return read_wide<T>(data) != 0;
    return read_wide<T>(data);
  });
}

double to_double(const Scalar& value) noexcept {
  return std::visit([](auto number) { return convert<double>(number); }, value);
}

void store(std::byte* data, DType dtype, const Scalar& value) {
  visit_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    std::visit(
        [data](auto number) {
          if (overflows<T>(number)) throw_overflow(c_name<T>());
          write_wide<T>(data, number);
        },
        value);
  });
}

void check_range(DType dtype, const Scalar& value) {
  const bool is_float = std::holds_alternative<double>(value) || std::holds_alternative<std::complex<double>>(value);
  if (dtype == kFloat8E8M0Fnu && !is_float) return;  // it has no sign, and torch takes an integer's magnitude
  visit_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    if constexpr (BitFormat<T>) {
      const auto* number = std::get_if<std::complex<double>>(&value);
      const bool is_real = number == nullptr || number->imag() == 0;
      if (!is_real || !is_in_range<T>(to_double(value))) {
        throw_overflow("c10::" + std::string(info(dtype).scalar_type));
      }
    }
  });
}

void store_literal(std::byte* data, DType dtype, const Scalar& value) {
  visit_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    std::visit(
        [&](auto number) {
          refuse_literal(dtype, number);
          if constexpr (std::is_integral_v<T>) {
            if (overflows<T>(number)) throw_overflow(std::string(name(dtype)));
          }
          write_wide<T>(data, number);
        },
        value);
  });
}

void store_cast(std::byte* data, DType dtype, const Scalar& value) noexcept {
  visit_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    std::visit([data](auto number) { write_wide<T>(data, number); }, value);
  });
}

}  // namespace tensorbroker
