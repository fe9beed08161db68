#include "client/calls.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "proto/layout.h"
#include "proto/limits.h"

namespace tensorbroker {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;

constexpr std::uint64_t kNotMutation = std::uint64_t{1} << 63;

// A builder's memory, for a message of usual length without a call to malloc.
class StackMemory final : public flatbuffers::Allocator {
 public:
  static constexpr std::size_t kBytes = 1024;

  std::uint8_t* allocate(std::size_t size) override {
    return size <= kBytes && !std::exchange(in_use_, true) ? bytes_.data() : new std::uint8_t[size];
  }
  void deallocate(std::uint8_t* memory, std::size_t /*size*/) override {
    if (memory == bytes_.data()) {
      in_use_ = false;
    } else {
      delete[] memory;
    }
  }

 private:
  alignas(16) std::array<std::uint8_t, kBytes> bytes_;
  bool in_use_ = false;
};

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
  StackMemory memory;
  Builder builder(StackMemory::kBytes, &memory);
  const auto item = item_of(builder, body(builder));
  const auto items = builder.CreateVector(&item, 1);
  builder.Finish(schema::CreateRequestMessage(builder, sequence, items));
  return finished(builder);
}

flatbuffers::Offset<schema::Publish> create_publish(Builder& b, const PublishSpec& spec) {
  const auto name = spec.name.empty() ? flatbuffers::Offset<flatbuffers::String>() : b.CreateString(spec.name);
  const auto header = b.CreateVector(reinterpret_cast<const std::uint8_t*>(spec.header.data()), spec.header.size());
  return schema::CreatePublish(b, spec.entry, name, header, spec.block_offset, spec.block_bytes, spec.is_bundle,
                               spec.is_mutable, spec.overwrite);
}

Frame build_publications(std::uint64_t sequence, std::span<const PublishSpec> specs) {
  StackMemory memory;
  Builder builder(512 * specs.size(), &memory);
  std::vector<flatbuffers::Offset<schema::RequestItem>> items;
  items.reserve(specs.size());
  for (const PublishSpec& spec : specs) items.push_back(item_of(builder, create_publish(builder, spec)));
  builder.Finish(schema::CreateRequestMessage(builder, sequence, builder.CreateVector(items)));
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

const schema::ReplyItem& ReplyFrame::item(std::size_t index, std::size_t count) const {
  const auto* items = message().items();
  if (items == nullptr || items->size() != count) {
    throw RuntimeError("the broker answered a request of " + std::to_string(count) + " items with " +
                       std::to_string(items == nullptr ? 0 : items->size()) + " items");
  }
  const schema::ReplyItem& wanted = *items->Get(static_cast<flatbuffers::uoffset_t>(index));
  if (wanted.error() != 0) {
    const auto code = wanted.error() <= static_cast<std::uint8_t>(ErrorCode::kAccess)
                          ? static_cast<ErrorCode>(wanted.error())
                          : ErrorCode::kRuntime;
    throw_error(code, text_of(wanted.message()));
  }
  if (wanted.body() == nullptr) throw RuntimeError("the broker's answer has no body");
  return wanted;
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

// The broker keeps results for kWindow consecutive mutations. REQUIRES: the lock.
bool Calls::has_room(std::size_t count) const {
  return outstanding_.empty() || next_mutation_ + count - outstanding_.front() <= kWindow;
}

// Numbers for so many; waits while the window is too full.
std::uint64_t Calls::begin_mutations(std::size_t count, const Limit& limit) {
  std::unique_lock held(mutex_);
  while (!has_room(count)) {
    limit.check_open();
    if (limit.passed()) {
      throw BrokerUnavailableError("the broker left " + std::to_string(outstanding_.size()) +
                                   " requests unanswered until the timeout; nothing of this one was sent");
    }
    if (take_oldest_posted(held, limit)) continue;
    turned_.wait_for(held, std::min<Limit::Clock::duration>(kPollSlice, limit.remaining()));
  }
  return take_numbers(count);
}

// Who posted the oldest unanswered message may be long in coming for its reply. False where it is none of those, or its
// reply was not to be had. REQUIRES: the lock, which is given up meanwhile; something is outstanding.
bool Calls::take_oldest_posted(std::unique_lock<std::mutex>& held, const Limit& limit) {
  const auto oldest = posted_.find(outstanding_.front());
  if (oldest == posted_.end() || oldest->second.is_being_taken) return false;
  auto& [sequence, posted] = *oldest;
  posted.is_being_taken = true;
  held.unlock();
  std::optional<ReplyFrame> reply;
  std::exception_ptr error;
  try {
    reply = transport_.take(sequence, posted.frame, posted.epoch, limit);
  } catch (...) {
    if (!limit.passed()) error = std::current_exception();  // else it is this call that comes too late, as it says
  }
  held.lock();
  posted.is_being_taken = false;
  turned_.notify_all();
  if (error) std::rethrow_exception(error);
  if (!reply) return false;
  posted.reply = std::move(reply);
  std::erase(outstanding_, sequence);
  return true;
}

// REQUIRES: the lock.
std::uint64_t Calls::take_numbers(std::size_t count) {
  outstanding_.push_back(next_mutation_);
  return std::exchange(next_mutation_, next_mutation_ + count);
}

void Calls::end_mutations(std::uint64_t sequence) {
  const std::lock_guard held(mutex_);
  std::erase(outstanding_, sequence);
  posted_.erase(sequence);
  turned_.notify_all();
}

template <class Body>
ReplyFrame Calls::ask(const Body& body, const Limit& limit) {
  const std::uint64_t number = next_number();
  return transport_.request(number, build(number, body), limit);
}

template <class Body>
ReplyFrame Calls::mutate(const Body& body, const Limit& limit) {
  const std::uint64_t sequence = begin_mutations(1, limit);
  try {
    ReplyFrame reply = transport_.request(sequence, build(sequence, body), limit);
    end_mutations(sequence);
    return reply;
  } catch (...) {
    end_mutations(sequence);
    throw;
  }
}

// ---------------------------------------------------------------- the calls

GrantedExtent Calls::grant(std::uint64_t bytes, const Limit& limit) {
  const ReplyFrame reply = ask([bytes](Builder& b) { return schema::CreateGrant(b, bytes); }, limit);
  const auto& granted = body_of<schema::Granted>(reply.item());
  return {granted.extent(), granted.slot(), granted.offset(), granted.bytes(), reply.epoch};
}

void Calls::give_back(const std::vector<std::uint32_t>& extents, const std::vector<std::uint64_t>& keep,
                      std::uint64_t epoch) {
  const auto body = [&](Builder& b) {
    const auto ids = b.CreateVector(extents);
    return schema::CreateGiveBack(b, ids, b.CreateVector(keep));
  };
  transport_.post(build(next_number(), body), epoch);
}

PublishedEntry Calls::publish(const PublishSpec& spec, const Limit& limit) {
  return published_of(mutate([&](Builder& b) { return create_publish(b, spec); }, limit), 0, 1);
}

std::optional<PostedPublications> Calls::try_post_publications(std::span<const PublishSpec> specs, std::uint64_t epoch,
                                                               std::optional<Channel::Way> after) {
  std::uint64_t sequence = 0;
  {
    const std::lock_guard held(mutex_);
    if (!has_room(specs.size())) return std::nullopt;
    sequence = take_numbers(specs.size());
  }
  const PostedPublications posted = post(sequence, specs, epoch, after);
  if (posted.way) return posted;
  end_mutations(sequence);
  return std::nullopt;
}

PostedPublications Calls::post_publications(std::span<const PublishSpec> specs, std::uint64_t epoch,
                                            const Limit& limit) {
  return post(begin_mutations(specs.size(), limit), specs, epoch, std::nullopt);
}

PostedPublications Calls::post(std::uint64_t sequence, std::span<const PublishSpec> specs, std::uint64_t epoch,
                               std::optional<Channel::Way> after) {
  try {
    Frame frame = build_publications(sequence, specs);
    const auto way = transport_.post_and_keep(sequence, frame, epoch, after);
    const PostedPublications posted{.sequence = sequence, .epoch = way ? epoch : 0, .way = way};
    const std::lock_guard held(mutex_);
    posted_.try_emplace(sequence, Posted{.frame = std::move(frame), .epoch = posted.epoch});
    return posted;
  } catch (...) {
    end_mutations(sequence);
    throw;
  }
}

// Who is taking it for room goes by a limit of its own.
ReplyFrame Calls::take_publications(const PostedPublications& which, const Limit& limit) {
  std::unique_lock held(mutex_);
  Posted& posted = posted_.at(which.sequence);
  turned_.wait(held, [&] { return !posted.is_being_taken; });
  std::optional<ReplyFrame> reply = std::move(posted.reply);
  posted.is_being_taken = true;
  held.unlock();
  try {
    if (!reply) reply = transport_.take(which.sequence, posted.frame, posted.epoch, limit);
    end_mutations(which.sequence);
    return std::move(*reply);
  } catch (...) {
    end_mutations(which.sequence);
    throw;
  }
}

PublishedEntry Calls::published_of(const ReplyFrame& reply, std::size_t index, std::size_t count) {
  const auto& published = body_of<schema::Published>(reply.item(index, count));
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
  transport_.post(build(number, [&](Builder& b) { return schema::CreateUnpin(b, pinned.entry, pinned.generation); }),
                  0);
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
