#include "proto/name.h"

#include <gtest/gtest.h>

#include <string>

#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

std::string refusal(std::string_view name) {
  try {
    check_name(name);
  } catch (const InvalidArgumentError& e) {
    return e.what();
  }
  return "";
}

TEST(Name, TakesUtf8OfUpTo255Bytes) {
  for (const std::string& name : {std::string("a"), std::string("model/fc.weight"), std::string("größe/重み/🙂"),
                                  std::string(255, 'x'), std::string("tb:/x"), std::string(" ")}) {
    EXPECT_EQ(refusal(name), "") << name;
  }
}

TEST(Name, RefusesWhatApiForbids) {
  EXPECT_NE(refusal("").find("empty"), std::string::npos);
  EXPECT_NE(refusal(std::string(256, 'x')).find("256 bytes"), std::string::npos);
  EXPECT_NE(refusal("tb://x").find("handles"), std::string::npos);
  EXPECT_NE(refusal("a\nb").find("a\\x0ab"), std::string::npos) << "the message shows the offending byte";
  EXPECT_NE(refusal(std::string("a\0b", 3)).find("control"), std::string::npos);
  EXPECT_NE(refusal("\x7f").find("control"), std::string::npos);
  EXPECT_NE(refusal("\xc2\x85").find("control"), std::string::npos) << "U+0085, a C1 control";
}

TEST(Name, RefusesWhatIsNotUtf8) {
  for (const char* name : {"\xff", "\x80", "a\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                           "\xf8\x88\x80\x80\x80"}) {
    EXPECT_NE(refusal(name).find("UTF-8"), std::string::npos);
  }
}

TEST(Name, HashesWithXxh3) {
  EXPECT_EQ(hash_name(""), 0x2d06800538d394c2ULL) << "XXH3-64 of the empty string, from xxHash's specification";
  EXPECT_NE(hash_name("a"), hash_name("b"));
}

TEST(InstanceName, StaysWithinOneFileNameComponent) {
  EXPECT_NO_THROW(check_instance("default"));
  EXPECT_NO_THROW(check_instance("A-1_b"));
  for (const char* instance : {"", "a.b", "a/b", "..", "a b", "ä"}) {
    EXPECT_THROW(check_instance(instance), InvalidArgumentError) << instance;
  }
  EXPECT_THROW(check_instance(std::string(65, 'a')), InvalidArgumentError);
}

}  // namespace
}  // namespace tensorbroker
