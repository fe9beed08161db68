#include "broker/plain_reply.h"

#include <cstring>

#include "proto/schema/control_generated.h"

namespace tensorbroker::broker {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;

constexpr std::uint32_t kSome = 1;  // in the place of each number: FlatBuffers leaves out a 0

// A message, and where the numbers lie that are filled in.
struct Pattern {
  std::vector<std::byte> bytes;
  std::size_t sequence_at = 0;
  std::size_t generation_at = 0;
  std::size_t spare_at = 0;

  template <class Table>
  Pattern(Builder& builder, flatbuffers::Offset<Table> body) {
    const auto item = schema::CreateReplyItem(builder, 0, 0, schema::ReplyTraits<Table>::enum_value, body.Union());
    builder.Finish(schema::CreateReplyMessage(builder, kSome, builder.CreateVector(&item, 1)));
    const auto* const begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
    bytes.assign(begin, begin + builder.GetSize());
    sequence_at = position(message(), schema::ReplyMessage::VT_SEQUENCE);
  }

  const schema::ReplyMessage& message() const { return *flatbuffers::GetRoot<schema::ReplyMessage>(bytes.data()); }

  template <class Table>
  std::size_t position(const Table& of, flatbuffers::voffset_t field) const {
    const auto& table = reinterpret_cast<const flatbuffers::Table&>(of);  // what each generated class is
    return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(table.GetAddressOf(field)) - bytes.data());
  }
};

Pattern make_done() {
  Builder builder;
  return {builder, schema::CreateDone(builder)};
}

Pattern make_published() {
  Builder builder;
  Pattern pattern(builder, schema::CreatePublished(builder, kSome, kSome));
  const auto& published = *pattern.message().items()->Get(0)->body_as_Published();
  pattern.generation_at = pattern.position(published, schema::Published::VT_GENERATION);
  pattern.spare_at = pattern.position(published, schema::Published::VT_SPARE);
  return pattern;
}

template <class Number>
void fill_in(std::vector<std::byte>* out, std::size_t at, Number number) {
  std::memcpy(out->data() + at, &number, sizeof number);
}

}  // namespace

void write_done(std::uint64_t sequence, std::vector<std::byte>* out) {
  static const Pattern pattern = make_done();
  out->assign(pattern.bytes.begin(), pattern.bytes.end());
  fill_in(out, pattern.sequence_at, sequence);
}

void write_published(std::uint64_t sequence, std::uint64_t generation, EntryId spare, std::vector<std::byte>* out) {
  static const Pattern pattern = make_published();
  out->assign(pattern.bytes.begin(), pattern.bytes.end());
  fill_in(out, pattern.sequence_at, sequence);
  fill_in(out, pattern.generation_at, generation);
  fill_in(out, pattern.spare_at, spare);
}

}  // namespace tensorbroker::broker
