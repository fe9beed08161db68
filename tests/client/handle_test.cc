#include "client/handle.h"

#include <gtest/gtest.h>
#include <tensorbroker/error.h>

namespace tensorbroker {
namespace {

TEST(Handle, TextIsFixed) {
  const Handle handle{"default", 0x0011223344556677, 12, 1700000000000001, OpenMode::kReadWrite};
  EXPECT_EQ(format_handle(handle), "tb://default/0011223344556677/12.1700000000000001.r+");
}

TEST(Handle, ReadsBackWhatItWrote) {
  for (const OpenMode mode : {OpenMode::kRead, OpenMode::kReadWrite, OpenMode::kCopyOnWrite}) {
    const Handle handle{"lab-2_x", ~std::uint64_t{0}, 0, ~std::uint64_t{0} >> 1, mode};
    EXPECT_EQ(parse_handle(format_handle(handle)), handle);
  }
}

TEST(Handle, KeyIsTheFirstHalfOfTheInstanceId) {
  InstanceId id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(i + 1);
  EXPECT_EQ(instance_key(id), 0x0102030405060708u);
}

TEST(Handle, NamesAreNoHandles) {
  EXPECT_TRUE(is_handle("tb://x"));
  EXPECT_FALSE(is_handle("model/tb://x"));
  EXPECT_FALSE(is_handle(""));
}

TEST(Handle, MalformedTextIsRefusedByName) {
  for (const char* text :
       {"tb://", "tb://default", "tb://default/0011223344556677", "tb://default/0011223344556677/1.2",
        "tb://default/0011223344556677/1.2.w", "tb://default/001122334455667/1.2.r",
        "tb://default/00112233445566zz/1.2.r", "tb://default/0011223344556677/-1.2.r",
        "tb://default/0011223344556677/4294967296.2.r", "tb://default/0011223344556677/1..r",
        "tb://default/0011223344556677/1.18446744073709551615.r", "tb://de fault/0011223344556677/1.2.r",
        "tb:///0011223344556677/1.2.r", "tb://default/0011223344556677/1.2.r ", "default/0011223344556677/1.2.r"}) {
    EXPECT_THROW(parse_handle(text), InvalidArgumentError) << text;
  }
}

}  // namespace
}  // namespace tensorbroker
