// The answers to the items of one request, gathered until the last is known, and sent as one ReplyMessage.
//
// Some answers come later than others (a grant whose pages are being reserved): whoever still owes one holds the Reply.
// On the loop's thread.

#ifndef TENSORBROKER_BROKER_REPLY_H_
#define TENSORBROKER_BROKER_REPLY_H_

#include <tensorbroker/error.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/segment_file.h"
#include "proto/schema/control_generated.h"

namespace tensorbroker::broker {

// One item's answer: an error, a body, or both (a refused Delete says what is there instead).
struct Answer {
  using Body = std::pair<schema::Reply, flatbuffers::Offset<void>>;

  ErrorCode error = ErrorCode::kOk;
  std::string message;
  std::function<Body(flatbuffers::FlatBufferBuilder&)> write;  // writes the body into the message; may be empty
  std::optional<SegmentFile> along{};                          // whose descriptor goes along with the message
};

template <class Table>
Answer::Body reply_body(flatbuffers::Offset<Table> table) {
  return {schema::ReplyTraits<Table>::enum_value, table.Union()};
}

// `create` is a function of (FlatBufferBuilder&) that returns the offset of one of the tables of the union Reply.
template <class Create>
Answer answer(Create create) {
  Answer result;
  result.write = [create = std::move(create)](flatbuffers::FlatBufferBuilder& builder) {
    return reply_body(create(builder));
  };
  return result;
}

Answer done();
// Of any exception: an Error keeps its code, everything else is kRuntime.
Answer error_answer(const std::exception_ptr& error);

class Reply {
 public:
  // Gets the message, and what goes along with it.
  using Send = std::function<void(const flatbuffers::FlatBufferBuilder&, std::vector<SegmentFile> along)>;

  // `send` is called when the last of `items` answers is in. No item: nothing is sent.
  Reply(std::uint64_t sequence, std::size_t items, Send send)
      : sequence_(sequence), answers_(items), missing_(items), send_(std::move(send)) {}

  // Each item is answered once.
  void set(std::size_t item, Answer answer);

 private:
  void send();

  std::uint64_t sequence_;
  std::vector<Answer> answers_;
  std::size_t missing_;
  Send send_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_REPLY_H_
