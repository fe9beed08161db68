#include "client/promote.h"

#include <tensorbroker/error.h>

#include <cstdint>
#include <string>

namespace tensorbroker {
namespace {

bool is_float8(DType dtype) noexcept { return info(dtype).kind == DTypeKind::kFloat && itemsize(dtype) == 1; }

bool is_wide_unsigned(DType dtype) noexcept { return info(dtype).kind == DTypeKind::kUnsigned && itemsize(dtype) > 1; }

[[noreturn]] void refuse(const char* what, DType a, DType b) {
  throw RuntimeError("Promotion for " + std::string(what) + " is not supported, attempted to promote " +
                     std::string(info(a).scalar_type) + " and " + std::string(info(b).scalar_type));
}

enum class Rank : std::uint8_t { kBool, kInteger, kFloat, kComplex };

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

// The only unsigned one among them is uint8.
DType promote_integers(DType a, DType b) noexcept {
  if (info(a).kind == info(b).kind) return itemsize(a) >= itemsize(b) ? a : b;
  const DType with_sign = info(a).kind == DTypeKind::kSigned ? a : b;
  return itemsize(with_sign) > 1 ? with_sign : kInt16;
}

DType promote_floats(DType a, DType b) noexcept {
  if (itemsize(a) != itemsize(b)) return itemsize(a) > itemsize(b) ? a : b;
  return kFloat32;  // float16 with bfloat16
}

}  // namespace

DType promote_types(DType a, DType b) {
  if (a == b) return a;
  if (is_float8(a) || is_float8(b)) refuse("Float8 Types", a, b);
  if ((is_wide_unsigned(a) && rank(b) != Rank::kFloat) || (is_wide_unsigned(b) && rank(a) != Rank::kFloat)) {
    refuse("uint16, uint32, uint64 types", a, b);
  }
  if (rank(a) != rank(b)) {
    const DType higher = rank(a) > rank(b) ? a : b;
    const DType lower = higher == a ? b : a;
    return higher == kComplex64 && lower == kFloat64 ? kComplex128 : higher;
  }
  if (rank(a) == Rank::kComplex) return kComplex128;
  return rank(a) == Rank::kInteger ? promote_integers(a, b) : promote_floats(a, b);
}

}  // namespace tensorbroker
