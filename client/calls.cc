#include "client/calls.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

#include "proto/layout.h"
#include "proto/limits.h"

namespace tensorbroker {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;

constexpr std::uint64_t kNotMutation = std::uint64_t{1} << 63;

Frame finished(Builder& builder) {
  const auto* bytes = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {bytes, bytes + builder.GetSize()};
}

template <class Table>
flatbuffers::Offset<schema::RequestItem> item_of(Builder& builder, flatbuffers::Offset<Table> body) {
  return schema::CreateRequestItem(builder, schema::RequestTraits<Table>::enum_value, body.Union());
}

// A request of one item; `body(builder)` makes it.
template <class Body>
Frame build(std::uint64_t sequence, const Body& body) {
  Builder builder(512);
  const auto item = item_of(builder, body(builder));
  const auto items = builder.CreateVector(&item, 1);
  builder.Finish(schema::CreateRequestMessage(builder, sequence, items));
  return finished(builder);
}

std::map<std::string, std::uint64_t> to_map(const flatbuffers::Vector<flatbuffers::Offset<schema::Counter>>* counters) {
  std::map<std::string, std::uint64_t> map;
  if (counters == nullptr) return map;
  for (const schema::Counter* counter : *counters) {
    if (counter->name() != nullptr) map[counter->name()->str()] = counter->value();
  }
  return map;
}

std::string text_of(const flatbuffers::String* text) { return text != nullptr ? text->str() : std::string(); }

}  // namespace

void throw_wrong_reply(schema::Reply type) {
  throw RuntimeError(std::string("the broker answered with ") + schema::EnumNameReply(type) +
                     " where something else was due; its log says more");
}

const schema::ReplyItem& ReplyFrame::item() const {
  const auto* items = message().items();
  if (items == nullptr || items->size() != 1) {
    throw RuntimeError("the broker answered one request with " + std::to_string(items == nullptr ? 0 : items->size()) +
                       " items");
  }
  const schema::ReplyItem& only = *items->Get(0);
  if (only.error() != 0) {
    const auto code = only.error() <= static_cast<std::uint8_t>(ErrorCode::kAccess)
                          ? static_cast<ErrorCode>(only.error())
                          : ErrorCode::kRuntime;
    throw_error(code, text_of(only.message()));
  }
  if (only.body() == nullptr) throw RuntimeError("the broker's answer has no body");
  return only;
}

Frame build_hello(std::uint64_t sequence, const HelloSpec& hello) {
  return build(sequence, [&](Builder& b) {
    const auto extents = b.CreateVector(hello.extents);
    const auto spares = b.CreateVector(hello.spares);
    return schema::CreateHello(b, kLayoutVersion, layout_hash(), getpid(), hello.session, extents, spares);
  });
}

Frame build_locked(std::uint64_t sequence) {
  return build(sequence, [](Builder& b) { return schema::CreateLocked(b); });
}

Frame build_next_heir(std::uint64_t sequence, std::uint64_t used) {
  return build(sequence, [used](Builder& b) { return schema::CreateNextHeir(b, used); });
}

Frame build_ring() {
  return build(kNotMutation, [](Builder& b) { return schema::CreateRing(b); });
}

// ---------------------------------------------------------------- numbers

std::uint64_t Calls::next_number() {
  const std::lock_guard held(mutex_);
  return kNotMutation | next_number_++;
}

// Waits while the window is full: the broker keeps results for kWindow consecutive mutations.
std::uint64_t Calls::begin_mutation(const Limit& limit) {
  std::unique_lock held(mutex_);
  while (!outstanding_.empty() && next_mutation_ - *outstanding_.begin() >= kWindow) {
    limit.check_open();
    if (limit.passed()) {
      throw BrokerUnavailableError("the broker left " + std::to_string(outstanding_.size()) +
                                   " requests unanswered until the timeout; nothing of this one was sent");
    }
    turned_.wait_for(held, std::min<Limit::Clock::duration>(kPollSlice, limit.remaining()));
  }
  outstanding_.insert(next_mutation_);
  return next_mutation_++;
}

void Calls::end_mutation(std::uint64_t sequence) {
  const std::lock_guard held(mutex_);
  outstanding_.erase(sequence);
  turned_.notify_all();
}

template <class Body>
ReplyFrame Calls::ask(const Body& body, const Limit& limit) {
  const std::uint64_t number = next_number();
  return request_(number, build(number, body), limit);
}

template <class Body>
ReplyFrame Calls::mutate(const Body& body, const Limit& limit) {
  const std::uint64_t sequence = begin_mutation(limit);
  try {
    ReplyFrame reply = request_(sequence, build(sequence, body), limit);
    end_mutation(sequence);
    return reply;
  } catch (...) {
    end_mutation(sequence);
    throw;
  }
}

// ---------------------------------------------------------------- the calls

GrantedExtent Calls::grant(std::uint64_t bytes, const Limit& limit) {
  const ReplyFrame reply = ask([bytes](Builder& b) { return schema::CreateGrant(b, bytes); }, limit);
  const auto& granted = body_of<schema::Granted>(reply.item());
  return {granted.extent(), granted.slot(), granted.offset(), granted.bytes(), reply.epoch};
}

void Calls::give_back(const std::vector<std::uint32_t>& extents, std::uint64_t epoch) {
  const std::uint64_t number = next_number();
  post_(number, build(number, [&](Builder& b) { return schema::CreateGiveBack(b, b.CreateVector(extents)); }), epoch);
}

PublishedEntry Calls::publish(const PublishSpec& spec, const Limit& limit) {
  const auto body = [&](Builder& b) {
    const auto name = spec.name.empty() ? flatbuffers::Offset<flatbuffers::String>() : b.CreateString(spec.name);
    const auto header = b.CreateVector(reinterpret_cast<const std::uint8_t*>(spec.header.data()), spec.header.size());
    return schema::CreatePublish(b, spec.entry, name, header, spec.block_offset, spec.block_bytes, spec.is_bundle,
                                 spec.is_mutable, spec.overwrite);
  };
  const ReplyFrame reply = mutate(body, limit);
  const auto& published = body_of<schema::Published>(reply.item());
  return {published.generation(), published.spare(), reply.epoch};
}

bool Calls::remove(std::string_view name, std::uint64_t generation, std::uint64_t* current, const Limit& limit) {
  const ReplyFrame reply =
      mutate([&](Builder& b) { return schema::CreateDelete(b, b.CreateString(name), generation); }, limit);
  const auto* items = reply.message().items();
  if (items != nullptr && items->size() == 1 &&
      items->Get(0)->error() == static_cast<std::uint8_t>(ErrorCode::kNotFound)) {
    // An error with a body: another generation is there by now.
    if (const auto* replaced = items->Get(0)->body_as_Count()) {
      *current = replaced->value();
      return false;
    }
  }
  reply.item();
  return true;
}

PinnedEntry Calls::pin(std::string_view name, EntryId entry, std::uint64_t generation, std::uint64_t token,
                       const Limit& limit) {
  const auto body = [&](Builder& b) {
    const auto text = name.empty() ? flatbuffers::Offset<flatbuffers::String>() : b.CreateString(name);
    return schema::CreatePin(b, text, entry, generation, token);
  };
  const ReplyFrame reply = ask(body, limit);
  const auto& pinned = body_of<schema::Pinned>(reply.item());
  return {pinned.entry(), pinned.generation()};
}

void Calls::unpin(const PinnedEntry& pinned) {
  const std::uint64_t number = next_number();
  post_(number, build(number, [&](Builder& b) { return schema::CreateUnpin(b, pinned.entry, pinned.generation); }), 0);
}

void Calls::send(EntryId entry, std::uint64_t generation, std::uint64_t token, const Limit& limit) {
  ask([&](Builder& b) { return schema::CreateSend(b, entry, generation, token); }, limit).item();
}

std::uint64_t Calls::holders(EntryId entry, std::uint64_t generation, const Limit& limit) {
  const ReplyFrame reply = ask([&](Builder& b) { return schema::CreateHolders(b, entry, generation); }, limit);
  return body_of<schema::Count>(reply.item()).value();
}

std::vector<EntryId> Calls::spares(std::uint32_t count, std::uint64_t* epoch, const Limit& limit) {
  const ReplyFrame reply = ask([count](Builder& b) { return schema::CreateSpares(b, count); }, limit);
  *epoch = reply.epoch;
  const auto* entries = body_of<schema::SpareEntries>(reply.item()).entries();
  return entries != nullptr ? std::vector<EntryId>(entries->begin(), entries->end()) : std::vector<EntryId>();
}

void Calls::grow_leases(std::uint32_t cells, const Limit& limit) {
  ask([cells](Builder& b) { return schema::CreateGrowLeases(b, cells); }, limit).item();
}

Stats Calls::stats(const Limit& limit) {
  const ReplyFrame reply = ask([](Builder& b) { return schema::CreateStats(b); }, limit);
  const auto& s = body_of<schema::Statistics>(reply.item());
  return {.instance = text_of(s.instance()),
          .broker_pid = s.broker_pid(),
          .uptime = s.uptime(),
          .capacity = s.capacity(),
          .used = s.used(),
          .live = s.live(),
          .retired = s.retired(),
          .free = s.free(),
          .tensors = s.tensors(),
          .bundles = s.bundles(),
          .sessions = s.sessions(),
          .limits = to_map(s.limits()),
          .counters = to_map(s.counters())};
}

void Calls::stop(bool keep, const Limit& limit) {
  ask([keep](Builder& b) { return schema::CreateStop(b, keep); }, limit).item();
}

}  // namespace tensorbroker
