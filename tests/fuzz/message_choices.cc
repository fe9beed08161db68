#include "tests/fuzz/message_choices.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "proto/header.h"
#include "proto/layout.h"
#include "proto/limits.h"

namespace tensorbroker::fuzz {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using Item = flatbuffers::Offset<schema::RequestItem>;

std::vector<std::byte> bytes_of(const Builder& builder) {
  const auto* begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {begin, begin + builder.GetSize()};
}

template <class Number>
Number choose(Choices& choices, const std::vector<Number>& known) {
  const std::size_t at = choices.byte();
  if (at < 224 && !known.empty()) return known[at % known.size()];
  return static_cast<Number>(choices.odd_number());
}

std::vector<std::uint32_t> choose_some(Choices& choices, const std::vector<std::uint32_t>& known) {
  std::vector<std::uint32_t> chosen;
  for (std::size_t count = choices.below(8); count > 0; --count) chosen.push_back(choose(choices, known));
  return chosen;
}

std::string choose_name(Choices& choices) {
  const std::size_t at = choices.byte();
  if (at < 240) return {static_cast<char>('a' + at % 8)};
  return std::string(choices.text(255));
}

// Mostly that of the entry as it is now.
std::uint64_t choose_generation(Choices& choices, const Facts& facts, EntryId entry) {
  if (choices.below(8) == 7 || entry >= facts.catalog->root().entries_committed.load()) return choices.odd_number();
  return facts.catalog->entry(entry).generation.load();
}

template <class Table>
Item item(Builder& b, flatbuffers::Offset<Table> body) {
  return schema::CreateRequestItem(b, schema::RequestTraits<Table>::enum_value, body.Union());
}

std::vector<std::byte> choose_header(Choices& choices, std::uint64_t block_bytes, bool is_bundle) {
  if (choices.below(16) == 15) {
    const auto raw = choices.bytes(choices.byte());
    return {raw.begin(), raw.end()};
  }
  std::vector<TensorSpec> specs(is_bundle ? choices.below(3) : 1);
  for (TensorSpec& spec : specs) {
    spec.name = is_bundle ? choose_name(choices) : std::string();
    spec.dtype = kUInt8;
    const std::uint64_t elements = choices.below(8) == 7 ? choices.odd_number() : block_bytes;
    spec.sizes = {static_cast<std::int64_t>(elements)};
    spec.strides = {1};
  }
  return encode_header(specs, choices.below(8) == 7 ? choices.text(64) : std::string_view{});
}

// Where a publication says that its data lie.
broker::Range choose_block(Choices& choices, const Facts& facts, bool is_mutable) {
  const std::uint8_t kind = choices.byte();
  if (kind >= 240) return {choices.odd_number(), choices.odd_number()};
  if (kind < 32 || facts.ranges.empty()) return {};
  const broker::Range& extent = facts.ranges[kind % facts.ranges.size()];
  const std::uint64_t unit = is_mutable ? kPageSize : kTensorAlignment;
  const std::uint64_t at = choices.byte() * unit % std::max<std::uint64_t>(extent.bytes, 1);
  return {extent.offset + at, std::uint64_t{choices.byte()} * 16};
}

Item choose_publish(Choices& choices, const Facts& facts, Builder& b) {
  const EntryId entry = choose(choices, facts.entries);
  const std::uint8_t flags = choices.byte();
  const bool is_bundle = (flags & 1) != 0;
  const bool is_mutable = (flags & 6) == 6;
  const bool is_anonymous = (flags & 24) == 24;
  const bool overwrite = (flags & 96) != 96;
  const broker::Range block = choose_block(choices, facts, is_mutable);
  const auto header = choose_header(choices, block.bytes, is_bundle);
  const auto name = is_anonymous ? flatbuffers::Offset<flatbuffers::String>() : b.CreateString(choose_name(choices));
  const auto data = b.CreateVector(reinterpret_cast<const std::uint8_t*>(header.data()), header.size());
  return item(b,
              schema::CreatePublish(b, entry, name, data, block.offset, block.bytes, is_bundle, is_mutable, overwrite));
}

Item choose_hello(Choices& choices, const Facts& facts, Builder& b) {
  const std::uint8_t kind = choices.byte();
  const std::uint64_t session = kind < 32 ? 0 : choose(choices, facts.sessions);
  const auto extents = b.CreateVector(choose_some(choices, facts.extents));
  const auto spares = b.CreateVector(choose_some(choices, facts.entries));
  const auto pid = static_cast<std::int32_t>(choices.byte());
  return item(b,
              schema::CreateHello(b, kind == 255 ? 1 : kLayoutVersion, layout_hash(), pid, session, extents, spares));
}

Item choose_give_back(Choices& choices, const Facts& facts, Builder& b) {
  const std::vector<std::uint32_t> extents = choose_some(choices, facts.extents);
  std::vector<std::uint64_t> keep;
  for (std::size_t count = choices.below(4) == 0 ? extents.size() : choices.below(3); count > 0; --count) {
    keep.push_back(choices.byte() * (choices.below(4) == 0 ? 1 : kPageSize));
  }
  const auto ids = b.CreateVector(extents);
  return item(b, schema::CreateGiveBack(b, ids, keep.empty() ? 0 : b.CreateVector(keep)));
}

Item choose_delete(Choices& choices, const Facts& facts, Builder& b) {
  const std::string name = choose_name(choices);
  const EntryId entry = choose(choices, facts.entries);
  const auto text = b.CreateString(name);
  return item(b, schema::CreateDelete(b, text, choose_generation(choices, facts, entry)));
}

Item choose_pin(Choices& choices, const Facts& facts, Builder& b) {
  const bool by_name = choices.flag();
  const auto name = by_name ? b.CreateString(choose_name(choices)) : flatbuffers::Offset<flatbuffers::String>();
  const EntryId entry = choose(choices, facts.entries);
  const std::uint64_t generation = choose_generation(choices, facts, entry);
  return item(b, schema::CreatePin(b, name, entry, generation, choices.below(4)));
}

Item choose_item(Choices& choices, const Facts& facts, Builder& b) {
  switch (choices.below(18)) {
    case 0:
      return choose_hello(choices, facts, b);
    case 1:
      return item(b, schema::CreateLocked(b));
    case 2:
    case 3:
      return item(b, schema::CreateGrant(b, choices.odd_number()));
    case 4:
      return choose_give_back(choices, facts, b);
    case 5:
    case 6:
    case 7:
      return choose_publish(choices, facts, b);
    case 8:
      return choose_delete(choices, facts, b);
    case 9:
      return choose_pin(choices, facts, b);
    case 10: {
      const EntryId entry = choose(choices, facts.entries);
      return item(b, schema::CreateUnpin(b, entry, choose_generation(choices, facts, entry)));
    }
    case 11: {
      const EntryId entry = choose(choices, facts.entries);
      const std::uint64_t generation = choose_generation(choices, facts, entry);
      return item(b, schema::CreateSend(b, entry, generation, choices.below(4)));
    }
    case 12: {
      const EntryId entry = choose(choices, facts.entries);
      return item(b, schema::CreateHolders(b, entry, choose_generation(choices, facts, entry)));
    }
    case 13:
      return item(b, schema::CreateSpares(b, static_cast<std::uint32_t>(choices.odd_number())));
    case 14:  // as many cells have memory from then on
      return item(b, schema::CreateGrowLeases(b, static_cast<std::uint32_t>(choices.odd_number()) & 0x3fff));
    case 15:  // costs as much as all the rest of an input
      if (choices.below(8) != 0) return item(b, schema::CreateRing(b));
      return item(b, schema::CreateNextHeir(b, choose(choices, facts.sessions)));
    case 16:
      return choices.flag() ? item(b, schema::CreateStats(b)) : item(b, schema::CreateStop(b, choices.flag()));
    default:
      return item(b, schema::CreateRing(b));
  }
}

std::vector<std::byte> single_item(Builder& b, const Item& only) {
  b.Finish(schema::CreateRequestMessage(b, 1, b.CreateVector(&only, 1)));
  return bytes_of(b);
}

void learn_item(const schema::ReplyItem& reply, Facts* facts) {
  if (const auto* welcome = reply.body_as_Welcome()) facts->sessions.push_back(welcome->session());
  if (const auto* attached = reply.body_as_Attached()) {
    facts->entries.insert(facts->entries.end(), attached->spares()->begin(), attached->spares()->end());
    facts->sessions.push_back(attached->heir());
  }
  if (const auto* heir = reply.body_as_HeirGranted()) facts->sessions.push_back(heir->heir());
  if (const auto* granted = reply.body_as_Granted()) {
    facts->extents.push_back(granted->extent());
    facts->ranges.push_back({granted->offset(), granted->bytes()});
  }
  if (const auto* published = reply.body_as_Published()) {
    if (published->spare() != kNoEntry) facts->entries.push_back(published->spare());
  }
  if (const auto* spares = reply.body_as_SpareEntries()) {
    facts->entries.insert(facts->entries.end(), spares->entries()->begin(), spares->entries()->end());
  }
}

}  // namespace

void learn(const schema::ReplyMessage& reply, Facts* facts) {
  for (const schema::ReplyItem* item : *reply.items()) learn_item(*item, facts);
}

std::vector<std::byte> choose_message(Choices& choices, Facts* facts) {
  Builder b(1024);
  std::vector<Item> items;
  const std::uint8_t shape = choices.byte();
  for (std::size_t count = 1 + (shape & 3); count > 0; --count) items.push_back(choose_item(choices, *facts, b));
  // One in eight is a repetition, or lies ahead.
  std::uint64_t sequence = facts->sequence;
  if ((shape & 28) == 28) {
    sequence += choices.signed_byte();
  } else {
    facts->sequence += items.size();
  }
  b.Finish(schema::CreateRequestMessage(b, sequence, b.CreateVector(items)));
  std::vector<std::byte> message = bytes_of(b);
  if ((shape & 224) == 224) {
    for (std::size_t changes = 1 + choices.below(4); changes > 0; --changes) {
      const std::size_t at = choices.number<std::uint16_t>() % message.size();
      message[at] = static_cast<std::byte>(choices.byte());
    }
  }
  return message;
}

std::vector<std::byte> hello_message(std::uint64_t session, const std::vector<EntryId>& spares) {
  Builder b;
  const auto listed = b.CreateVector(spares);
  return single_item(b, item(b, schema::CreateHello(b, kLayoutVersion, layout_hash(), getpid(), session, 0, listed)));
}

std::vector<std::byte> locked_message() {
  Builder b;
  return single_item(b, item(b, schema::CreateLocked(b)));
}

}  // namespace tensorbroker::fuzz
