// The answers to the items of one request, gathered until the last is known, and sent as one ReplyMessage.
//
// Some answers come later than others (a grant whose pages are being reserved): whoever still owes one holds the Reply.
// Each is written into the message as it comes. A Reply can be used for one message after the other, and keeps its
// memory between them. On the loop's thread.

#ifndef TENSORBROKER_BROKER_REPLY_H_
#define TENSORBROKER_BROKER_REPLY_H_

#include <tensorbroker/error.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "broker/channel.h"
#include "broker/segment_file.h"
#include "proto/catalog_layout.h"
#include "proto/schema/control_generated.h"

namespace tensorbroker::broker {

// One item's answer: an error, a body, or both (a refused Delete says what is there instead).
struct Answer {
  ErrorCode error = ErrorCode::kOk;
  std::string message{};
  schema::Reply type = schema::Reply::NONE;
  flatbuffers::Offset<void> body{};    // in the reply's builder
  std::optional<SegmentFile> along{};  // whose descriptor goes along with the message
};

// `body`: one of the tables of the union Reply.
template <class Table>
Answer answer(flatbuffers::Offset<Table> body) {
  return {.type = schema::ReplyTraits<Table>::enum_value, .body = body.Union()};
}

// Of any exception: an Error keeps its code, everything else is kRuntime.
Answer error_answer(const std::exception_ptr& error);

class Reply {
 public:
  using Builder = flatbuffers::FlatBufferBuilder;
  // Gets the message, what goes along with it, and the way that it is to take.
  using Send = std::function<void(std::span<const std::byte>, std::vector<SegmentFile> along, Transport)>;

  explicit Reply(Send send) : send_(std::move(send)) {}

  // Begins the answer to the next message, which is sent when the last of `items` answers is in. No way: it is not.
  // REQUIRES: nobody owes an answer to the one before.
  void begin(std::uint64_t sequence, std::size_t items, std::optional<Transport> way);

  // For the bodies of answers.
  Builder& builder() noexcept { return builder_; }
  // Each item is answered once.
  void set(std::size_t item, Answer answer);
  // What nearly every reply of a burst says: it is copied from a pattern (plain_reply.h).
  void set_done(std::size_t item);
  void set_published(std::size_t item, std::uint64_t generation, EntryId spare);

 private:
  // A message as large as this is rare, and not to keep its memory.
  static constexpr std::size_t kMostKept = 16 * 1024;

  void set(std::size_t item, flatbuffers::Offset<schema::ReplyItem> written);
  void send();
  void send_plain();

  const Send send_;
  Builder builder_;
  std::vector<flatbuffers::Offset<schema::ReplyItem>> answers_;
  std::map<std::size_t, SegmentFile> along_;  // by item
  std::vector<std::byte> plain_;              // a message that took no builder
  std::uint64_t sequence_ = 0;
  std::size_t missing_ = 0;
  std::optional<Transport> way_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_REPLY_H_
