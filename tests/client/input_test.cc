// Bad input: each has a typed error that says what to do, and nothing is lost.

#include <limits>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

class BadInput : public WithBroker {
 protected:
  BadInput() { client_.put("kept", counting({4})); }
  ~BadInput() override {
    EXPECT_EQ(values(client_.get("kept"))[3], 3);
    EXPECT_EQ(client_.list().size(), 1u);
    EXPECT_EQ(client_.stats().live, 64u);
  }
};

TEST_F(BadInput, Names) {
  const std::string longest(255, 'n');
  client_.put(longest, counting({1}));
  client_.remove(longest);
  for (const std::string& name : {std::string(), std::string(256, 'n'), std::string("a\nb"), std::string("a\0b", 3),
                                  std::string("\xff\xfe"), std::string("tb://x")}) {
    EXPECT_THROW(client_.put(name, counting({1})), InvalidArgumentError);
    EXPECT_THROW(client_.create(name, {1}, kFloat32), InvalidArgumentError);
    EXPECT_THROW(client_.get(name), InvalidArgumentError);
    EXPECT_THROW(client_.remove(name), InvalidArgumentError);
    EXPECT_THROW(client_.wait(name, 0, std::chrono::seconds(0)), InvalidArgumentError);
  }
  EXPECT_NE(refusal<NotFoundError>([&] { client_.get("absent"); }).find("'absent'"), std::string::npos);
}

TEST_F(BadInput, Shapes) {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  EXPECT_NE(refusal<RuntimeError>([&] { client_.create("x", {2, -1}, kFloat32); }).find("negative dimension -1"),
            std::string::npos);
  EXPECT_THROW(client_.create("x", {kHuge, 2}, kFloat32), RuntimeError);
  EXPECT_THROW(client_.zeros({kHuge, kHuge}), RuntimeError);
  EXPECT_THROW(client_.create("x", {kHuge / 8}, kFloat32), OutOfMemoryError);
}

TEST_F(BadInput, Metadata) {
  const auto put = [&](const std::string& metadata) {
    client_.put("x", counting({1}), {.overwrite = true, .metadata = metadata});
  };
  for (const std::string& metadata : {std::string("{"), std::string("[1]"), std::string("nonsense"),
                                      "{\"a\": \"" + std::string(65536, 'x') + "\"}"}) {
    EXPECT_THROW(put(metadata), InvalidArgumentError) << metadata.substr(0, 20);
  }
}

TEST_F(BadInput, Handles) {
  const std::string good = client_.get("kept").handle();
  for (const std::string& handle :
       {std::string("tb://"), good + "x", good.substr(0, good.size() - 3), std::string("tb://other/0/1.1.r")}) {
    EXPECT_THROW(client_.open(handle), Error) << handle;
  }
}

TEST_F(BadInput, UndefinedTensors) { EXPECT_THROW(client_.put("x", Tensor()), InvalidArgumentError); }

TEST_F(BadInput, ConnectOptions) {
  ConnectOptions options = broker_.connect_options();
  options.instance = "a/b";
  EXPECT_THROW(Client::connect(options), InvalidArgumentError);
  options = broker_.connect_options();
  options.runtime_dir = "/" + std::string(120, 'x');
  EXPECT_THROW(Client::connect(options), InvalidArgumentError);
  options.runtime_dir = "/tmp/elsewhere";
  EXPECT_NE(refusal<Error>([&] { Client::connect(options); }).find(broker_.at().runtime_dir()), std::string::npos)
      << "names where the broker is";
  options = broker_.connect_options();
  options.timeout = std::chrono::seconds(-1);
  EXPECT_THROW(Client::connect(options), InvalidArgumentError);
}

}  // namespace
}  // namespace tensorbroker
