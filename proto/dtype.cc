#include <tensorbroker/dtype.h>

#include <array>
#include <utility>

namespace tensorbroker {
namespace {

// DLDataTypeCode of DLPack 1.1.
enum DLCode : std::uint8_t {
  kDLInt = 0,
  kDLUInt = 1,
  kDLFloat = 2,
  kDLBfloat = 4,
  kDLComplex = 5,
  kDLBool = 6,
  kDLFloat8E4M3Fn = 10,
  kDLFloat8E4M3Fnuz = 11,
  kDLFloat8E5M2 = 12,
  kDLFloat8E5M2Fnuz = 13,
  kDLFloat8E8M0Fnu = 14,
};

constexpr std::array kTable = {
    DTypeInfo{DType::kBool, "bool", "|b1", "?", "BOOL", "Bool", 1, DTypeKind::kBool, kDLBool, 8},
    DTypeInfo{DType::kInt8, "int8", "|i1", "b", "I8", "Char", 1, DTypeKind::kSigned, kDLInt, 8},
    DTypeInfo{DType::kInt16, "int16", "<i2", "h", "I16", "Short", 2, DTypeKind::kSigned, kDLInt, 16},
    DTypeInfo{DType::kInt32, "int32", "<i4", "i", "I32", "Int", 4, DTypeKind::kSigned, kDLInt, 32},
    DTypeInfo{DType::kInt64, "int64", "<i8", "l", "I64", "Long", 8, DTypeKind::kSigned, kDLInt, 64},
    DTypeInfo{DType::kUInt8, "uint8", "|u1", "B", "U8", "Byte", 1, DTypeKind::kUnsigned, kDLUInt, 8},
    DTypeInfo{DType::kUInt16, "uint16", "<u2", "H", "U16", "UInt16", 2, DTypeKind::kUnsigned, kDLUInt, 16},
    DTypeInfo{DType::kUInt32, "uint32", "<u4", "I", "U32", "UInt32", 4, DTypeKind::kUnsigned, kDLUInt, 32},
    DTypeInfo{DType::kUInt64, "uint64", "<u8", "L", "U64", "UInt64", 8, DTypeKind::kUnsigned, kDLUInt, 64},
    DTypeInfo{DType::kFloat16, "float16", "<f2", "e", "F16", "Half", 2, DTypeKind::kFloat, kDLFloat, 16},
    DTypeInfo{DType::kBFloat16, "bfloat16", "", "", "BF16", "BFloat16", 2, DTypeKind::kFloat, kDLBfloat, 16},
    DTypeInfo{DType::kFloat32, "float32", "<f4", "f", "F32", "Float", 4, DTypeKind::kFloat, kDLFloat, 32},
    DTypeInfo{DType::kFloat64, "float64", "<f8", "d", "F64", "Double", 8, DTypeKind::kFloat, kDLFloat, 64},
    DTypeInfo{DType::kComplex64, "complex64", "<c8", "Zf", "C64", "ComplexFloat", 8, DTypeKind::kComplex, kDLComplex,
              64},
    DTypeInfo{DType::kComplex128, "complex128", "<c16", "Zd", "", "ComplexDouble", 16, DTypeKind::kComplex, kDLComplex,
              128},
    DTypeInfo{DType::kFloat8E4M3Fn, "float8_e4m3fn", "", "", "F8_E4M3", "Float8_e4m3fn", 1, DTypeKind::kFloat,
              kDLFloat8E4M3Fn, 8},
    DTypeInfo{DType::kFloat8E5M2, "float8_e5m2", "", "", "F8_E5M2", "Float8_e5m2", 1, DTypeKind::kFloat, kDLFloat8E5M2,
              8},
    DTypeInfo{DType::kFloat8E4M3Fnuz, "float8_e4m3fnuz", "", "", "F8_E4M3FNUZ", "Float8_e4m3fnuz", 1, DTypeKind::kFloat,
              kDLFloat8E4M3Fnuz, 8},
    DTypeInfo{DType::kFloat8E5M2Fnuz, "float8_e5m2fnuz", "", "", "F8_E5M2FNUZ", "Float8_e5m2fnuz", 1, DTypeKind::kFloat,
              kDLFloat8E5M2Fnuz, 8},
    DTypeInfo{DType::kFloat8E8M0Fnu, "float8_e8m0fnu", "", "", "F8_E8M0", "Float8_e8m0fnu", 1, DTypeKind::kFloat,
              kDLFloat8E8M0Fnu, 8},
};

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].dtype) != i) return false;
  }
  return true;
}
static_assert(rows_are_in_order(), "info() indexes the table by the number of the dtype");

constexpr std::pair<std::string_view, DType> kAliases[] = {
    {"float", DType::kFloat32},    {"double", DType::kFloat64},     {"half", DType::kFloat16},
    {"int", DType::kInt32},        {"long", DType::kInt64},         {"short", DType::kInt16},
    {"cfloat", DType::kComplex64}, {"cdouble", DType::kComplex128},
};

}  // namespace

std::span<const DTypeInfo> all_dtypes() noexcept { return kTable; }

const DTypeInfo& info(DType dtype) noexcept { return kTable[static_cast<std::size_t>(dtype)]; }

std::optional<DType> dtype_from_code(std::uint8_t code) noexcept {
  if (code >= kTable.size()) return std::nullopt;
  return static_cast<DType>(code);
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (const DTypeInfo& row : kTable) {
    if (row.name == name) return row.dtype;
  }
  for (const auto& [alias, dtype] : kAliases) {
    if (alias == name) return dtype;
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_safetensors(std::string_view name) noexcept {
  for (const DTypeInfo& row : kTable) {
    if (!name.empty() && row.safetensors == name) return row.dtype;
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_dlpack(std::uint8_t code, std::uint8_t bits) noexcept {
  for (const DTypeInfo& row : kTable) {
    if (row.dlpack_code == code && row.dlpack_bits == bits) return row.dtype;
  }
  return std::nullopt;
}

}  // namespace tensorbroker
