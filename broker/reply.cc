#include "broker/reply.h"

namespace tensorbroker::broker {

Answer done() {
  return answer([](flatbuffers::FlatBufferBuilder& b) { return schema::CreateDone(b); });
}

Answer error_answer(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return {e.code(), e.what(), {}, {}};
  } catch (const std::exception& e) {
    return {ErrorCode::kRuntime, std::string("the broker failed: ") + e.what(), {}, {}};
  }
}

void Reply::set(std::size_t item, Answer answer) {
  answers_[item] = std::move(answer);
  if (--missing_ == 0) send();
}

void Reply::send() {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<schema::ReplyItem>> items;
  items.reserve(answers_.size());
  std::vector<SegmentFile> along;
  for (Answer& answer : answers_) {
    Answer::Body body{schema::Reply::NONE, 0};
    if (answer.write) body = answer.write(builder);
    const auto message = answer.message.empty() ? 0 : builder.CreateString(answer.message);
    items.push_back(
        schema::CreateReplyItem(builder, static_cast<std::uint8_t>(answer.error), message, body.first, body.second));
    if (answer.along) along.push_back(*std::exchange(answer.along, std::nullopt));
  }
  builder.Finish(schema::CreateReplyMessage(builder, sequence_, builder.CreateVector(items),
                                            static_cast<std::uint8_t>(along.size())));
  send_(builder, std::move(along));
}

}  // namespace tensorbroker::broker
