// What may be given to a library that knows no read-only memory.

#include <gtest/gtest.h>
#include <tensorbroker/tensorbroker.h>

#include <array>
#include <fstream>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

using Exportable = WithBroker;

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) ++count;
  return count;
}

TEST_F(Exportable, AWritableTensorIsItself) {
  const Tensor shared = client_.zeros({4}, kFloat32, "x");
  EXPECT_EQ(shared.exportable().data_ptr<float>(), shared.data_ptr<float>());
  std::array<float, 3> values{};
  EXPECT_EQ(from_blob(values.data(), {3}, kFloat32).exportable().data(), values.data());
}

TEST_F(Exportable, ASealedOneIsOverPrivatePages) {
  for (const std::int64_t size : {4L, 1L << 16}) {  // copied, and mapped
    const Tensor sealed = client_.put("x", counting({size}));
    const Tensor mine = sealed.exportable();
    ASSERT_TRUE(mine.is_writable());
    EXPECT_EQ(mine.dtype(), kFloat32);
    EXPECT_EQ(values(mine), values(sealed));
    mine.data_ptr<float>()[3] = 70;
    EXPECT_EQ(sealed.const_data_ptr<float>()[3], 3);
    EXPECT_EQ(client_.get("x").const_data_ptr<float>()[3], 3);
    EXPECT_NE(mine.const_data(), sealed.const_data());
    EXPECT_FALSE(mine.is_sealed());
  }
}

TEST_F(Exportable, AllOfOneStorageShareTheirPages) {
  const Tensor sealed = client_.put("x", counting({256, 256}));
  const Tensor whole = sealed.exportable();
  const Tensor column = sealed.t().select(0, 5).exportable();
  EXPECT_EQ(column.const_data_ptr<float>(), whole.const_data_ptr<float>() + 5);
  EXPECT_EQ(column.stride(0), 256);
  EXPECT_EQ(sealed.exportable().const_data(), whole.const_data());
}

TEST_F(Exportable, ThePagesGoWithTheLastExportAndTheLeaseAfterThem) {
  Tensor sealed = client_.put("x", counting({1 << 16}));
  const std::size_t before = mappings();
  Tensor mine = sealed.exportable();
  Tensor part = sealed.narrow(0, 5, 7).exportable();
  EXPECT_EQ(mappings(), before + 1);
  sealed = {};
  client_.remove("x");
  mine = {};
  EXPECT_EQ(mappings(), before + 1);
  EXPECT_EQ(values(part).front(), 5);
  EXPECT_GE(client_.stats().retired, 4u << 16);
  part = {};
  EXPECT_EQ(mappings(), before);
  EXPECT_TRUE(test::eventually([&] { return client_.stats().retired == 0; }));
}

TEST_F(Exportable, RefusesWhatMayChangeUnderTheReader) {
  client_.zeros({4}, kFloat32, "x");
  EXPECT_NE(refusal<ReadOnlyError>([&] { client_.get("x").exportable(); }).find("open it with mode \"r+\""),
            std::string::npos);
  const std::array<float, 3> values{};
  EXPECT_NE(
      refusal<ReadOnlyError>([&] { from_blob(values.data(), {3}, kFloat32).exportable(); }).find("constant memory"),
      std::string::npos);
}

TEST_F(Exportable, APublishedDraftIsSealed) {
  Tensor draft = client_.create("x", {1 << 15}, kFloat32);
  draft.data_ptr<float>()[7] = 7;
  const Tensor view = draft.narrow(0, 7, 2);
  EXPECT_EQ(draft.exportable().data(), draft.data());
  draft.publish();
  const Tensor mine = view.exportable();
  EXPECT_EQ(mine.const_data_ptr<float>()[0], 7);
  mine.data_ptr<float>()[0] = 8;
  EXPECT_EQ(client_.get("x").const_data_ptr<float>()[7], 7);
}

TEST_F(Exportable, WithoutElements) {
  const Tensor sealed = client_.put("x", from_blob(static_cast<void*>(nullptr), {0, 3}, kFloat32));
  EXPECT_EQ(sealed.exportable().numel(), 0);
  EXPECT_EQ(sealed.exportable().size(1), 3);
}

}  // namespace
}  // namespace tensorbroker
