#include "tests/simulation/request.h"

#include "proto/header.h"
#include "proto/layout.h"

namespace tensorbroker::simulation {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using Item = flatbuffers::Offset<schema::RequestItem>;

template <class Table>
Item item(Builder& b, flatbuffers::Offset<Table> body) {
  return schema::CreateRequestItem(b, schema::RequestTraits<Table>::enum_value, body.Union());
}

Item publish_item(Builder& b, const Request& r) {
  const auto name = r.by_name ? b.CreateString(r.name) : flatbuffers::Offset<flatbuffers::String>();
  const auto header = b.CreateVector(reinterpret_cast<const std::uint8_t*>(r.header.data()), r.header.size());
  return item(b, schema::CreatePublish(b, r.entry, name, header, r.block_offset, r.bytes, r.is_bundle, r.is_mutable,
                                       r.overwrite));
}

Item hello_item(Builder& b, const Request& r) {
  const auto extents = b.CreateVector(r.extents);
  const auto spares = b.CreateVector(r.spares);
  return item(b, schema::CreateHello(b, kLayoutVersion, layout_hash() + (r.is_sound ? 0 : 1), r.pid, r.session, extents,
                                     spares));
}

Item give_back_item(Builder& b, const Request& r) {
  const auto extents = b.CreateVector(r.extents);
  return item(b, schema::CreateGiveBack(b, extents, r.keeps.empty() ? 0 : b.CreateVector(r.keeps)));
}

Item item_of(Builder& b, const Request& r) {
  const auto name = [&] { return r.by_name ? b.CreateString(r.name) : flatbuffers::Offset<flatbuffers::String>(); };
  switch (r.kind) {
    case schema::Request::Hello:
      return hello_item(b, r);
    case schema::Request::Locked:
      return item(b, schema::CreateLocked(b));
    case schema::Request::Grant:
      return item(b, schema::CreateGrant(b, r.bytes));
    case schema::Request::GiveBack:
      return give_back_item(b, r);
    case schema::Request::Publish:
      return publish_item(b, r);
    case schema::Request::Delete:
      return item(b, schema::CreateDelete(b, name(), r.generation));
    case schema::Request::Pin:
      return item(b, schema::CreatePin(b, name(), r.entry, r.generation, r.token));
    case schema::Request::Unpin:
      return item(b, schema::CreateUnpin(b, r.entry, r.generation));
    case schema::Request::Holders:
      return item(b, schema::CreateHolders(b, r.entry, r.generation));
    case schema::Request::Spares:
      return item(b, schema::CreateSpares(b, r.count));
    case schema::Request::GrowLeases:
      return item(b, schema::CreateGrowLeases(b, r.count));
    case schema::Request::NextHeir:
      return item(b, schema::CreateNextHeir(b, r.session));
    case schema::Request::Stats:
      return item(b, schema::CreateStats(b));
    case schema::Request::Stop:
      return item(b, schema::CreateStop(b, r.keep));
    case schema::Request::Send:
      return item(b, schema::CreateSend(b, r.entry, r.generation, r.token));
    default:
      return item(b, schema::CreateRing(b));
  }
}

}  // namespace

std::vector<std::byte> header_of(std::uint64_t bytes, bool is_bundle) {
  const TensorSpec spec{.name = is_bundle ? "member" : "",
                        .dtype = kUInt8,
                        .sizes = {static_cast<std::int64_t>(bytes)},
                        .strides = {1},
                        .offset = 0};
  return encode_header({&spec, 1}, "");
}

std::vector<std::byte> message_of(const std::vector<Request>& requests) {
  Builder b(512);
  std::vector<Item> items;
  for (const Request& request : requests) items.push_back(item_of(b, request));
  b.Finish(schema::CreateRequestMessage(b, requests.front().sequence, b.CreateVector(items)));
  const auto* begin = reinterpret_cast<const std::byte*>(b.GetBufferPointer());
  return {begin, begin + b.GetSize()};
}

}  // namespace tensorbroker::simulation
