// tensorbroker/dlpack.h against DLPack's own header: what is given out, what is taken, and when each is let go of.

#include <gtest/gtest.h>
#include <tensorbroker/dlpack.h>
#include <tensorbroker/tensorbroker.h>

#include <array>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/broker_process.h"

namespace tensorbroker {
namespace {

// A producer of two by three floats, whose deleter counts.
template <class Managed>
struct Producer {
  Producer() {
    managed.dl_tensor.data = values.data();
    managed.dl_tensor.device = {kDLCPU, 0};
    managed.dl_tensor.ndim = 2;
    managed.dl_tensor.dtype = {kDLFloat, 32, 1};
    managed.dl_tensor.shape = shape.data();
    managed.dl_tensor.strides = strides.data();
    managed.dl_tensor.byte_offset = 0;
    managed.manager_ctx = this;
    managed.deleter = [](Managed* self) { ++static_cast<Producer*>(self->manager_ctx)->deleted; };
    if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
      managed.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
      managed.flags = 0;
    }
  }

  std::array<float, 8> values{0, 1, 2, 3, 4, 5, 6, 7};
  std::array<std::int64_t, 2> shape{2, 3};
  std::array<std::int64_t, 2> strides{3, 1};
  Managed managed;
  int deleted = 0;
};

using Legacy = Producer<DLManagedTensor>;
using Versioned = Producer<DLManagedTensorVersioned>;

template <class Managed>
std::unique_ptr<Managed, void (*)(Managed*)> owned(Managed* managed) {
  return {managed, [](Managed* done) { done->deleter(done); }};
}

class Dlpack : public testing::Test {
 protected:
  test::BrokerProcess broker_;
  Client client_ = broker_.connect();
};

TEST(DlpackImport, AliasesAndDeletesOnceWithTheLastView) {
  Legacy producer;
  Tensor tensor = from_dlpack(&producer.managed);
  EXPECT_EQ(tensor.data_ptr<float>(), producer.values.data());
  EXPECT_EQ(tensor.size(1), 3);
  Tensor row = tensor[1];
  tensor = {};
  EXPECT_EQ(producer.deleted, 0);
  EXPECT_EQ(row.const_data_ptr<float>()[2], 5);
  std::thread([last = std::move(row)] {}).join();
  EXPECT_EQ(producer.deleted, 1);
}

TEST(DlpackImport, HeedsTheOffsetAndMissingStrides) {
  Versioned producer;
  producer.managed.dl_tensor.byte_offset = 2 * sizeof(float);
  producer.managed.dl_tensor.strides = nullptr;
  const Tensor tensor = from_dlpack(&producer.managed);
  EXPECT_EQ((tensor.accessor<const float, 2>()[1][2]), 7);
  EXPECT_TRUE(tensor.is_contiguous());
}

TEST(DlpackImport, IsReadOnlyWhereTheFlagSaysSo) {
  Versioned producer;
  producer.managed.flags = DLPACK_FLAG_BITMASK_READ_ONLY;
  const Tensor tensor = from_dlpack(&producer.managed);
  EXPECT_FALSE(tensor.is_writable());
  EXPECT_THROW(tensor.data(), ReadOnlyError);
  EXPECT_THROW(tensor.exportable(), ReadOnlyError);
}

TEST(DlpackImport, OfAnotherMajorVersionCallsTheDeleterAlone) {
  Versioned producer;
  producer.managed.version.major = DLPACK_MAJOR_VERSION + 1;
  producer.managed.dl_tensor.data = nullptr;  // what lies there then is of no known layout
  producer.managed.dl_tensor.shape = nullptr;
  EXPECT_THROW(from_dlpack(&producer.managed), TypeError);
  EXPECT_EQ(producer.deleted, 1);
}

TEST(DlpackImport, RefusesWhatTensorsCannotBeAndDeletesIt) {
  const auto refused = [](auto spoil) {
    Legacy producer;
    spoil(producer);
    EXPECT_THROW(from_dlpack(&producer.managed), Error);
    EXPECT_EQ(producer.deleted, 1);
  };
  refused([](Legacy& p) { p.managed.dl_tensor.device.device_type = kDLCUDA; });
  refused([](Legacy& p) { p.managed.dl_tensor.dtype.lanes = 4; });
  refused([](Legacy& p) { p.managed.dl_tensor.dtype = {kDLOpaqueHandle, 64, 1}; });
  refused([](Legacy& p) { p.strides[0] = -3; });
  refused([](Legacy& p) { p.shape[0] = -1; });
  refused([](Legacy& p) { p.shape = {std::int64_t{1} << 40, std::int64_t{1} << 40}; });
  refused([](Legacy& p) { p.managed.dl_tensor.ndim = -1; });
  refused([](Legacy& p) { p.managed.dl_tensor.shape = nullptr; });
}

TEST(DlpackImport, NeedsNoDeleter) {
  Legacy producer;
  producer.managed.deleter = nullptr;
  EXPECT_EQ(from_dlpack(&producer.managed).numel(), 6);
}

TEST(DlpackExport, DescribesEveryDtypeAsItComesBack) {
  std::array<std::byte, 64> bytes{};
  for (const DTypeInfo& row : all_dtypes()) {
    const Tensor tensor = from_dlpack(to_dlpack_versioned(from_blob(bytes.data(), {2, 2}, row.dtype)));
    EXPECT_EQ(tensor.dtype(), row.dtype) << row.name;
    EXPECT_EQ(tensor.const_data(), bytes.data());
  }
}

TEST(DlpackExport, GivesFinalPointerAndStridesWithoutOffset) {
  std::array<float, 6> values{};
  const Tensor column = from_blob(values.data(), {2, 3}, kFloat32).t()[1];
  const auto managed = owned(to_dlpack(column));
  const DLTensor& array = managed->dl_tensor;
  EXPECT_EQ(array.data, values.data() + 1);
  EXPECT_EQ(array.byte_offset, 0u);
  ASSERT_EQ(array.ndim, 1);
  ASSERT_NE(array.strides, nullptr);
  EXPECT_EQ(array.strides[0], 3);
  EXPECT_EQ(array.dtype.code, kDLFloat);
}

TEST(DlpackExport, WithoutDimensionsOrElements) {
  std::array<float, 1> value{5};
  const auto scalar = owned(to_dlpack_versioned(from_blob(value.data(), {}, kFloat32)));
  EXPECT_EQ(scalar->dl_tensor.ndim, 0);
  EXPECT_EQ(*static_cast<float*>(scalar->dl_tensor.data), 5);
  const auto empty = owned(to_dlpack_versioned(from_blob(value.data(), {0, 3}, kFloat32)));
  EXPECT_EQ(empty->dl_tensor.shape[1], 3);
  EXPECT_EQ(from_dlpack(to_dlpack(from_blob(value.data(), {0, 3}, kFloat32))).size(1), 3);
}

TEST_F(Dlpack, OfASealedTensorIsFlaggedAndOverPrivatePages) {
  const std::vector<float> values(1 << 16, 1.0f);
  const Tensor sealed = client_.put("x", from_blob(values.data(), {1 << 16}, kFloat32));
  const auto managed = owned(to_dlpack_versioned(sealed));
  EXPECT_EQ(managed->version.major, 1u);
  EXPECT_EQ(managed->flags, DLPACK_FLAG_BITMASK_READ_ONLY);
  static_cast<float*>(managed->dl_tensor.data)[3] = 9;  // a consumer that ignores the flag
  EXPECT_EQ(client_.get("x").const_data_ptr<float>()[3], 1);
}

TEST_F(Dlpack, OfAMutableTensorIsItsMemory) {
  const Tensor shared = client_.zeros({2, 3}, kFloat32, "x");
  const auto managed = owned(to_dlpack_versioned(shared.t()));
  EXPECT_EQ(managed->dl_tensor.data, shared.data());
  EXPECT_EQ(managed->dl_tensor.strides[1], 3);
  EXPECT_EQ(managed->flags, 0u);
  EXPECT_THROW(to_dlpack(client_.get("x")), ReadOnlyError);  // opened "r"
}

TEST_F(Dlpack, KeepsTheMemoryAfterTensorNameAndClientAreGone) {
  const std::vector<float> values(1 << 16, 3.0f);
  auto managed = owned(to_dlpack(client_.put("x", from_blob(values.data(), {1 << 16}, kFloat32))));
  client_.remove("x");
  for (int i = 0; i < 4; ++i) client_.put("y", from_blob(std::vector<float>(1 << 16).data(), {1 << 16}, kFloat32));
  client_.close();
  client_ = broker_.connect();
  EXPECT_EQ(static_cast<float*>(managed->dl_tensor.data)[999], 3);
  EXPECT_GE(client_.stats().retired, 4u << 16);
  std::thread([last = std::move(managed)] {}).join();
  EXPECT_TRUE(test::eventually([&] { return client_.stats().retired == 0; }));
}

}  // namespace
}  // namespace tensorbroker
