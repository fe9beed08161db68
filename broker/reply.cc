#include "broker/reply.h"

#include "broker/plain_reply.h"

namespace tensorbroker::broker {

Answer error_answer(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return {.error = e.code(), .message = e.what()};
  } catch (const std::exception& e) {
    return {.error = ErrorCode::kRuntime, .message = std::string("the broker failed: ") + e.what()};
  }
}

void Reply::begin(std::uint64_t sequence, std::size_t items, std::optional<Transport> way) {
  builder_.Clear();
  answers_.assign(items, {});
  along_.clear();
  sequence_ = sequence;
  missing_ = items;
  way_ = way;
}

void Reply::set(std::size_t item, Answer answer) {
  const auto message = answer.message.empty() ? 0 : builder_.CreateString(answer.message);
  if (answer.along) along_.emplace(item, *std::move(answer.along));
  set(item,
      schema::CreateReplyItem(builder_, static_cast<std::uint8_t>(answer.error), message, answer.type, answer.body));
}

void Reply::set(std::size_t item, flatbuffers::Offset<schema::ReplyItem> written) {
  answers_[item] = written;
  if (--missing_ == 0 && way_) send();
}

void Reply::set_done(std::size_t item) {
  if (answers_.size() > 1) return set(item, answer(schema::CreateDone(builder_)));
  write_done(sequence_, &plain_);
  send_plain();
}

void Reply::set_published(std::size_t item, std::uint64_t generation, EntryId spare) {
  if (answers_.size() > 1) return set(item, add_published(generation, spare, &builder_));
  write_published(sequence_, generation, spare, &plain_);
  send_plain();
}

void Reply::send_plain() {
  missing_ = 0;
  if (way_) send_(plain_, {}, *way_);
}

void Reply::send() {
  std::vector<SegmentFile> along;
  for (auto& [item, file] : along_) along.push_back(std::move(file));
  builder_.Finish(schema::CreateReplyMessage(builder_, sequence_, builder_.CreateVector(answers_),
                                             static_cast<std::uint8_t>(along.size())));
  send_(std::as_bytes(std::span(builder_.GetBufferPointer(), builder_.GetSize())), std::move(along), *way_);
  if (builder_.GetSize() > kMostKept) builder_.Reset();
}

}  // namespace tensorbroker::broker
