#include "broker/plain_reply.h"

#include <cstring>
#include <span>

namespace tensorbroker::broker {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;

constexpr std::uint32_t kSome = 1;     // in the place of each number: FlatBuffers leaves out a 0
constexpr std::size_t kAlignment = 8;  // of what is aligned most in these tables

// A message or a part of one, and where the numbers lie that are filled in.
struct Pattern {
  std::vector<std::uint8_t> bytes;
  std::size_t item = 0;  // from the end, as FlatBuffers counts
  std::size_t sequence_at = 0;
  std::size_t generation_at = 0;
  std::size_t spare_at = 0;

  template <class Table>
  std::size_t position(const Table& of, flatbuffers::voffset_t field) const {
    const auto& table = reinterpret_cast<const flatbuffers::Table&>(of);  // what each generated class is
    return static_cast<std::size_t>(table.GetAddressOf(field) - bytes.data());
  }
};

// Without the message around it where it is to be added to another one: what refers to each other lies in one piece.
template <class Table>
Pattern make_pattern(Builder& builder, flatbuffers::Offset<Table> body, bool is_message) {
  Pattern made;
  const auto item = schema::CreateReplyItem(builder, 0, 0, schema::ReplyTraits<Table>::enum_value, body.Union());
  made.item = item.o;
  if (is_message) builder.Finish(schema::CreateReplyMessage(builder, kSome, builder.CreateVector(&item, 1)));
  const std::uint8_t* const begin = builder.GetCurrentBufferPointer();
  made.bytes.assign(begin, begin + builder.GetSize());
  if (is_message) {
    const auto& message = *flatbuffers::GetRoot<schema::ReplyMessage>(made.bytes.data());
    made.sequence_at = made.position(message, schema::ReplyMessage::VT_SEQUENCE);
  }
  return made;
}

Pattern make_done() {
  Builder builder;
  return make_pattern(builder, schema::CreateDone(builder), true);
}

Pattern make_published(bool is_message) {
  Builder builder;
  Pattern made = make_pattern(builder, schema::CreatePublished(builder, kSome, kSome), is_message);
  const auto& item = *reinterpret_cast<const schema::ReplyItem*>(made.bytes.data() + made.bytes.size() - made.item);
  made.generation_at = made.position(*item.body_as_Published(), schema::Published::VT_GENERATION);
  made.spare_at = made.position(*item.body_as_Published(), schema::Published::VT_SPARE);
  return made;
}

template <class Number>
void fill_in(void* pattern, std::size_t at, Number number) {
  std::memcpy(static_cast<std::byte*>(pattern) + at, &number, sizeof number);
}

void copy(const Pattern& pattern, std::vector<std::byte>* out) {
  const auto bytes = std::as_bytes(std::span(pattern.bytes));
  out->assign(bytes.begin(), bytes.end());
}

}  // namespace

void write_done(std::uint64_t sequence, std::vector<std::byte>* out) {
  static const Pattern pattern = make_done();
  copy(pattern, out);
  fill_in(out->data(), pattern.sequence_at, sequence);
}

void write_published(std::uint64_t sequence, std::uint64_t generation, EntryId spare, std::vector<std::byte>* out) {
  static const Pattern pattern = make_published(true);
  copy(pattern, out);
  fill_in(out->data(), pattern.sequence_at, sequence);
  fill_in(out->data(), pattern.generation_at, generation);
  fill_in(out->data(), pattern.spare_at, spare);
}

flatbuffers::Offset<schema::ReplyItem> add_published(std::uint64_t generation, EntryId spare, Builder* builder) {
  static const Pattern pattern = make_published(false);
  builder->Align(kAlignment);
  const auto item = static_cast<flatbuffers::uoffset_t>(builder->GetSize() + pattern.item);
  builder->PushBytes(pattern.bytes.data(), pattern.bytes.size());
  fill_in(builder->GetCurrentBufferPointer(), pattern.generation_at, generation);
  fill_in(builder->GetCurrentBufferPointer(), pattern.spare_at, spare);
  return item;
}

}  // namespace tensorbroker::broker
