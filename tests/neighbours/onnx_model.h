// The smallest ONNX model worth running, as the bytes of its file: y = x @ w, of float32 matrices of fixed sizes.
// Pure functions.

#ifndef TENSORBROKER_TESTS_NEIGHBOURS_ONNX_MODEL_H_
#define TENSORBROKER_TESTS_NEIGHBOURS_ONNX_MODEL_H_

#include <stdexcept>
#include <string>

namespace tensorbroker::test {

// A protobuf message, written field by field. Numbers and lengths must be below 128, so that each is one byte.
class Message {
 public:
  Message& number(int field, int value) {
    bytes_ += {static_cast<char>(field << 3), static_cast<char>(value)};
    return *this;
  }
  Message& text(int field, const std::string& value) {
    if (value.size() > 127) throw std::length_error("a field of " + std::to_string(value.size()) + " bytes");
    bytes_ += {static_cast<char>(field << 3 | 2), static_cast<char>(value.size())};
    bytes_ += value;
    return *this;
  }
  Message& message(int field, const Message& value) { return text(field, value.bytes_); }
  const std::string& bytes() const noexcept { return bytes_; }

 private:
  std::string bytes_;
};

inline Message matrix(const std::string& name, int rows, int columns) {
  const Message shape = Message().message(1, Message().number(1, rows)).message(1, Message().number(1, columns));
  const Message type = Message().message(1, Message().number(1, 1).message(2, shape));  // elements: float
  return Message().text(1, name).message(2, type);
}

inline std::string product_model(int rows, int inner, int columns) {
  const Message node = Message().text(1, "x").text(1, "w").text(2, "y").text(4, "MatMul");
  const Message graph = Message()
                            .message(1, node)
                            .text(2, "g")
                            .message(11, matrix("x", rows, inner))
                            .message(11, matrix("w", inner, columns))
                            .message(12, matrix("y", rows, columns));
  return Message().number(1, 8).message(7, graph).message(8, Message().number(2, 13)).bytes();
}

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_NEIGHBOURS_ONNX_MODEL_H_
