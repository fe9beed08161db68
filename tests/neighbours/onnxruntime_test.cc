// tensorbroker/onnxruntime.h against ONNX Runtime: the same memory, the same types, each kept by the other, and a model
// run on what the broker holds.

#include <gtest/gtest.h>
#include <tensorbroker/onnxruntime.h>
#include <tensorbroker/tensorbroker.h>

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/neighbours/onnx_model.h"
#include "tests/support/broker_process.h"

namespace tensorbroker {
namespace {

class OnnxRuntime : public testing::Test {
 protected:
  test::BrokerProcess broker_;
  Client client_ = broker_.connect();
};

// Sessions want an environment, of which a process has one; it keeps files open until it goes.
class OnnxSession : public OnnxRuntime {
 protected:
  static void SetUpTestSuite() {
    environment = std::make_unique<Ort::Env>(ORT_LOGGING_LEVEL_WARNING);
    environment->DisableTelemetryEvents();
  }
  static void TearDownTestSuite() { environment.reset(); }

  static inline std::unique_ptr<Ort::Env> environment;
};

template <class E, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return "no error of this class";
}

TEST_F(OnnxSession, AModelReadsSealedTensorsAndWritesADraft) {
  const std::string model = test::product_model(2, 3, 2);
  Ort::Session session(*environment, model.data(), model.size(), Ort::SessionOptions());
  const std::array<float, 6> x{1, 2, 3, 4, 5, 6};
  const std::array<float, 6> w{1, 0, 0, 1, 1, 1};
  const std::array<Ort::Value, 2> inputs{to_ort(client_.put("x", from_blob(x.data(), {2, 3}, kFloat32))),
                                         to_ort(client_.put("w", from_blob(w.data(), {3, 2}, kFloat32)))};
  Tensor draft = client_.create("y", {2, 2}, kFloat32);
  Ort::Value output = to_ort_output(draft);
  EXPECT_EQ(output.GetTensorMutableRawData(), draft.data());
  const std::array names{"x", "w"};
  const char* const output_name = "y";
  session.Run(Ort::RunOptions(), names.data(), inputs.data(), inputs.size(), &output_name, &output, 1);
  EXPECT_FALSE(client_.find("y"));
  draft.publish();
  const std::array<float, 4> expected{4, 5, 10, 11};
  const Tensor published = client_.get("y");
  EXPECT_TRUE(published.equal(from_blob(expected.data(), {2, 2}, kFloat32)));

  // What the session allocates itself outlives it, and goes in again.
  std::vector<Ort::Value> made =
      session.Run(Ort::RunOptions(), names.data(), inputs.data(), inputs.size(), &output_name, 1);
  const Tensor kept = from_ort(std::move(made.at(0)));
  session = Ort::Session(nullptr);
  EXPECT_TRUE(client_.put("z", kept).equal(published));
}

TEST_F(OnnxRuntime, GivesOutTheMemoryItself) {
  const std::array<float, 6> values{1, 2, 3, 4, 5, 6};
  const Tensor sealed = client_.put("x", from_blob(values.data(), {2, 3}, kFloat32));
  const Ort::Value whole = to_ort(sealed);
  EXPECT_EQ(whole.GetTensorRawData(), sealed.const_data());
  EXPECT_EQ(whole.GetTensorTypeAndShapeInfo().GetShape(), (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(to_ort(sealed[1]).GetTensorRawData(), sealed.const_data_ptr<float>() + 3);
  const Tensor shared = client_.zeros({2}, kFloat32, "m");
  Ort::Value output = to_ort_output(shared);
  output.GetTensorMutableData<float>()[1] = 7;
  EXPECT_EQ(client_.get("m").const_data_ptr<float>()[1], 7);
  EXPECT_EQ(to_ort(client_.get("m")).GetTensorData<float>()[1], 7);  // opened "r": an input, no output
}

TEST_F(OnnxRuntime, WritesOnlyToWhatIsWritable) {
  const std::array<float, 2> values{1, 2};
  const Tensor sealed = client_.put("x", from_blob(values.data(), {2}, kFloat32));
  EXPECT_THROW(to_ort_output(sealed), ReadOnlyError);
  client_.zeros({2}, kFloat32, "m");
  EXPECT_THROW(to_ort_output(client_.get("m")), ReadOnlyError);
  EXPECT_THROW(to_ort_output(from_blob(values.data(), {2}, kFloat32)), ReadOnlyError);
}

TEST_F(OnnxRuntime, EveryDtypeThereAndBack) {
  std::array<std::byte, 64> bytes{};
  for (const DTypeInfo& row : all_dtypes()) {
    const Tensor tensor = from_blob(bytes.data(), {2, 2}, row.dtype);
    if (row.kind == DTypeKind::kComplex || (row.dtype == kFloat8E8M0Fnu && ORT_API_VERSION < 28)) {
      const std::string message = message_of<TypeError>([&] { to_ort(tensor); });
      EXPECT_NE(message.find(row.name), std::string::npos) << message;
      continue;
    }
    const Tensor back = from_ort(to_ort(tensor));
    EXPECT_EQ(back.dtype(), row.dtype) << row.name;
    EXPECT_EQ(back.const_data(), bytes.data());
    EXPECT_EQ(back.nbytes(), tensor.nbytes());
  }
}

TEST_F(OnnxRuntime, ItsTypesAreTypesOfElements) {
  std::array<Ort::BFloat16_t, 2> values{Ort::BFloat16_t(1.5f), Ort::BFloat16_t(2.5f)};
  const Tensor put = client_.put("x", from_blob(values.data(), {2}, kBFloat16));
  EXPECT_EQ(put.const_data_ptr<Ort::BFloat16_t>()[1].ToFloat(), 2.5f);
  EXPECT_THROW(put.const_data_ptr<Ort::Float16_t>(), TypeError);
}

TEST_F(OnnxRuntime, RefusesOtherOrdersThanC) {
  std::array<float, 6> values{};
  const Tensor turned = from_blob(values.data(), {2, 3}, kFloat32).t();
  const std::string message = message_of<InvalidArgumentError>([&] { to_ort(turned); });
  EXPECT_NE(message.find("(1, 3)"), std::string::npos) << message;
  EXPECT_NE(message.find(".contiguous()"), std::string::npos) << message;
  EXPECT_EQ(to_ort(turned.contiguous()).GetTensorTypeAndShapeInfo().GetElementCount(), 6u);
  EXPECT_THROW(to_ort(Tensor()), TypeError);
  EXPECT_THROW(to_ort_output(Tensor()), TypeError);
}

TEST_F(OnnxRuntime, RefusesWhatIsNoTensorHere) {
  EXPECT_THROW(from_ort(Ort::Value(nullptr)), TypeError);
  Ort::AllocatorWithDefaultOptions allocator;
  const std::array<std::int64_t, 1> one{1};
  Ort::Value strings = Ort::Value::CreateTensor(allocator, one.data(), 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
  EXPECT_NE(message_of<TypeError>([&] { from_ort(std::move(strings)); }).find("strings"), std::string::npos);
  float value = 1;
  std::vector<Ort::Value> items;
  items.push_back(to_ort(from_blob(&value, {1}, kFloat32)));
  Ort::Value sequence = Ort::Value::CreateSequence(items);
  EXPECT_NE(message_of<TypeError>([&] { from_ort(std::move(sequence)); }).find("GetValue"), std::string::npos);
}

TEST_F(OnnxRuntime, WithoutDimensionsOrElements) {
  float five = 5;
  EXPECT_EQ(to_ort(from_blob(&five, {}, kFloat32)).GetTensorData<float>()[0], 5);
  EXPECT_EQ(from_ort(to_ort(from_blob(&five, {}, kFloat32))).dim(), 0);
  const Tensor none = client_.put("none", from_blob(&five, {0, 3}, kFloat32));
  EXPECT_EQ(from_ort(to_ort(none)).size(1), 3);
}

TEST_F(OnnxRuntime, KeepsTheMemoryAfterTensorNameAndClientAreGone) {
  const std::vector<float> values(1 << 16, 3.0f);
  Ort::Value value = to_ort(client_.put("x", from_blob(values.data(), {1 << 16}, kFloat32)));
  client_.remove("x");
  for (int i = 0; i < 4; ++i) client_.put("y", from_blob(std::vector<float>(1 << 16).data(), {1 << 16}, kFloat32));
  client_.close();
  client_ = broker_.connect();
  EXPECT_EQ(value.GetTensorData<float>()[999], 3);
  EXPECT_GE(client_.stats().retired, 4u << 16);
  std::thread([last = std::move(value)] {}).join();
  EXPECT_TRUE(test::eventually([&] { return client_.stats().retired == 0; }));
}

TEST_F(OnnxRuntime, LetsGoOfWhatHasNoElementsToo) {
  const Tensor none = client_.put("none", from_blob(static_cast<const void*>(nullptr), {0, 3}, kFloat32));
  {
    const Ort::Value value = to_ort(none);
  }
  int deleted = 0;
  {
    to_ort(from_blob(static_cast<void*>(nullptr), std::array<std::int64_t, 1>{0}, kFloat32, [&](void*) { ++deleted; }));
  }
  EXPECT_EQ(deleted, 1);
}

TEST_F(OnnxRuntime, FromOrtKeepsTheValueUntilTheLastViewIsGone) {
  std::array<float, 4> values{1, 2, 3, 4};
  int deleted = 0;
  Tensor row;
  {
    const std::array<std::int64_t, 2> sizes{2, 2};
    const Tensor back = from_ort(to_ort(from_blob(values.data(), sizes, kFloat32, [&](void*) { ++deleted; })));
    row = back[1];
  }
  EXPECT_EQ(deleted, 0);
  EXPECT_EQ(row.data_ptr<float>()[1], 4);
  row = {};
  EXPECT_EQ(deleted, 1);
}

}  // namespace
}  // namespace tensorbroker
