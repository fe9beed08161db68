// The dtype table against the facts of its neighbours, and the errors' codes against their classes.

#include <gtest/gtest.h>
#include <tensorbroker/dtype.h>
#include <tensorbroker/error.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace tensorbroker {
namespace {

TEST(DType, EveryRowFindsItselfByEachOfItsNames) {
  EXPECT_EQ(all_dtypes().size(), 20u);
  for (const DTypeInfo& row : all_dtypes()) {
    EXPECT_EQ(&info(row.dtype), &row);
    EXPECT_EQ(dtype_from_code(static_cast<std::uint8_t>(row.dtype)), row.dtype);
    EXPECT_EQ(dtype_from_name(row.name), row.dtype);
    EXPECT_EQ(dtype_from_dlpack(row.dlpack_code, row.dlpack_bits), row.dtype);
    EXPECT_EQ(row.dlpack_bits, 8 * row.itemsize);
  }
}

TEST(DType, NamesAreUsedOnce) {
  std::set<std::string_view> names, numpy, buffer, safetensors;
  for (const DTypeInfo& row : all_dtypes()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(row.numpy.empty() || numpy.insert(row.numpy).second) << row.numpy;
    EXPECT_TRUE(row.buffer.empty() || buffer.insert(row.buffer).second) << row.buffer;
    EXPECT_TRUE(row.safetensors.empty() || safetensors.insert(row.safetensors).second) << row.safetensors;
  }
}

TEST(DType, NumPysTypeStringsGiveTheSize) {
  for (const DTypeInfo& row : all_dtypes()) {
    if (row.numpy.empty()) continue;
    EXPECT_EQ(std::stoul(std::string(row.numpy.substr(2))), row.itemsize) << row.name;
    EXPECT_EQ(row.numpy[0], row.itemsize == 1 ? '|' : '<') << row.name;
  }
}

TEST(DType, WhatNeighboursCallThem) {
  EXPECT_EQ(info(kFloat32).numpy, "<f4");
  EXPECT_EQ(info(kBool).numpy, "|b1");
  EXPECT_EQ(info(kComplex128).numpy, "<c16");
  EXPECT_EQ(info(kBFloat16).numpy, "");
  EXPECT_EQ(info(kBFloat16).safetensors, "BF16");
  EXPECT_EQ(info(kFloat8E4M3Fn).safetensors, "F8_E4M3");
  EXPECT_EQ(info(kFloat8E4M3Fnuz).safetensors, "F8_E4M3FNUZ");
  EXPECT_EQ(info(kComplex64).buffer, "Zf");
  EXPECT_EQ(info(kFloat8E5M2).buffer, "");
  EXPECT_EQ(info(kComplex128).safetensors, "");
  EXPECT_EQ(dtype_from_dlpack(5, 64), kComplex64);
  EXPECT_EQ(dtype_from_dlpack(6, 8), kBool);
  EXPECT_EQ(dtype_from_dlpack(14, 8), kFloat8E8M0Fnu);
}

TEST(DType, TorchsAliases) {
  EXPECT_EQ(dtype_from_name("float"), kFloat32);
  EXPECT_EQ(dtype_from_name("double"), kFloat64);
  EXPECT_EQ(dtype_from_name("half"), kFloat16);
  EXPECT_EQ(dtype_from_name("int"), kInt32);
  EXPECT_EQ(dtype_from_name("long"), kInt64);
  EXPECT_EQ(dtype_from_name("short"), kInt16);
  EXPECT_EQ(dtype_from_name("cfloat"), kComplex64);
  EXPECT_EQ(dtype_from_name("cdouble"), kComplex128);
}

TEST(DType, WhatIsNotThereIsNothing) {
  for (int code = 20; code < 256; ++code) EXPECT_FALSE(dtype_from_code(static_cast<std::uint8_t>(code)));
  for (const std::string_view name : {"", "Float32", "float32 ", "float128", "object"}) {
    EXPECT_FALSE(dtype_from_name(name)) << name;
  }
  EXPECT_FALSE(dtype_from_dlpack(0, 24));
  EXPECT_FALSE(dtype_from_dlpack(2, 128));
  EXPECT_FALSE(dtype_from_dlpack(3, 64));
}

template <class E>
void expect_class(ErrorCode code) {
  try {
    throw_error(code, "what happened");
  } catch (const E& error) {
    EXPECT_EQ(error.code(), code);
    EXPECT_STREQ(error.what(), "what happened");
    return;
  } catch (const Error&) {
  }
  ADD_FAILURE() << "code " << static_cast<int>(code) << " throws another class";
}

TEST(Error, EachCodeThrowsItsClass) {
  expect_class<NotFoundError>(ErrorCode::kNotFound);
  expect_class<ExistsError>(ErrorCode::kExists);
  expect_class<OutOfMemoryError>(ErrorCode::kOutOfMemory);
  expect_class<QuotaError>(ErrorCode::kQuota);
  expect_class<OutOfMemoryError>(ErrorCode::kQuota);
  expect_class<ReadOnlyError>(ErrorCode::kReadOnly);
  expect_class<BrokerUnavailableError>(ErrorCode::kBrokerUnavailable);
  expect_class<VersionMismatchError>(ErrorCode::kVersionMismatch);
  expect_class<CorruptSegmentError>(ErrorCode::kCorruptSegment);
  expect_class<ClosedError>(ErrorCode::kClosed);
  expect_class<TimeoutError>(ErrorCode::kTimeout);
  expect_class<InvalidArgumentError>(ErrorCode::kInvalidArgument);
  expect_class<TypeError>(ErrorCode::kType);
  expect_class<IndexError>(ErrorCode::kIndex);
  expect_class<RuntimeError>(ErrorCode::kRuntime);
}

TEST(Error, ACodeFromANewerPeerKeepsItsMessage) {
  const auto code = static_cast<ErrorCode>(200);
  try {
    throw_error(code, "what happened");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    EXPECT_STREQ(error.what(), "what happened");
  }
}

}  // namespace
}  // namespace tensorbroker
