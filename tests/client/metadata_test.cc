#include "client/metadata.h"

#include <gtest/gtest.h>
#include <tensorbroker/error.h>

#include <string>

namespace tensorbroker {
namespace {

TEST(Metadata, ObjectsAndNoneAreGood) {
  for (const char* text : {"", "{}", " \n{\"step\": 1, \"tags\": [\"a\", null, true, {\"x\": -1.5e3}]} ",
                           "{\"gr\xc3\xb6\xc3\x9f\x65\": \"\\u20ac\"}"}) {
    EXPECT_NO_THROW(check_metadata(text)) << text;
  }
}

TEST(Metadata, AnythingElseIsRefused) {
  for (const char* text : {" ", "1", "null", "[]", "[{}]", "\"{}\"", "{", "{}{}", "{'a': 1}", "{\"a\": NaN}", "{\"a\"}",
                           "{\"a\": \"\xff\"}"}) {
    EXPECT_THROW(check_metadata(text), InvalidArgumentError) << text;
  }
}

TEST(Metadata, DepthDoesNotExhaustTheStack) {
  std::string deep = "{\"a\": ";
  deep.append(30000, '[').append(30000, ']').append("}");
  EXPECT_NO_THROW(check_metadata(deep));
}

TEST(Metadata, SixtyFourKiBFit) {
  const std::string frame = "{\"a\": \"\"}";
  const auto filled = [&](std::size_t bytes) { return "{\"a\": \"" + std::string(bytes - frame.size(), 'x') + "\"}"; };
  EXPECT_NO_THROW(check_metadata(filled(64 * 1024)));
  try {
    check_metadata(filled(64 * 1024 + 1));
    FAIL() << "too much metadata was accepted";
  } catch (const InvalidArgumentError& error) {
    EXPECT_NE(std::string(error.what()).find("65537"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace tensorbroker
