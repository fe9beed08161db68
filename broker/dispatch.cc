#include "broker/dispatch.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory_resource>
#include <string>

#include "broker/peer.h"
#include "broker/statistics_reply.h"
#include "proto/frame.h"
#include "proto/layout.h"
#include "proto/limits.h"
#include "proto/name.h"

namespace tensorbroker::broker {
namespace {

using Builder = Reply::Builder;

const schema::RequestMessage& verified(std::span<const std::byte> frame) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(frame.data());
  flatbuffers::Verifier verifier(bytes, frame.size(), kVerifierDepth, kVerifierTables);
  if (!verifier.VerifyBuffer<schema::RequestMessage>(nullptr)) throw ProtocolError("a message that does not verify");
  const auto& message = *flatbuffers::GetRoot<schema::RequestMessage>(bytes);
  if (message.items() == nullptr || message.items()->size() == 0) throw ProtocolError("a message without items");
  if (message.items()->size() > kMaxItemsPerRequest) {
    throw ProtocolError("a message of " + std::to_string(message.items()->size()) + " items");
  }
  for (const schema::RequestItem* item : *message.items()) {
    if (item->body_type() == schema::Request::NONE || item->body_type() > schema::Request::MAX || !item->body()) {
      throw ProtocolError("an item without a body");
    }
  }
  return message;
}

template <class T>
std::span<const T> span_of(const flatbuffers::Vector<T>* vector) {
  if (vector == nullptr) return {};
  return {vector->data(), vector->size()};
}

std::string_view view_of(const flatbuffers::String* text) {
  return text != nullptr ? text->string_view() : std::string_view{};
}

void check_layout(const schema::Hello& hello) {
  if (hello.layout_version() == kLayoutVersion && hello.layout_hash() == layout_hash()) return;
  throw VersionMismatchError("the client has layout " + std::to_string(hello.layout_version()) + " (hash " +
                             std::to_string(hello.layout_hash()) + "), the broker (pid " + std::to_string(getpid()) +
                             ") has layout " + std::to_string(kLayoutVersion) + " (hash " +
                             std::to_string(layout_hash()) + "); use one release of tensorbroker for both");
}

// A header at an alignment that FlatBuffers can work with: nested in a message it may lie anywhere.
class AlignedCopy {
 public:
  explicit AlignedCopy(std::span<const std::uint8_t> bytes)
      : words_((bytes.size() + 7) / 8, &memory_), bytes_(bytes.size()) {
    if (!bytes.empty()) std::memcpy(words_.data(), bytes.data(), bytes.size());
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(words_)).first(bytes_); }

 private:
  std::array<std::byte, 512> buffer_;  // for nearly every tensor's
  std::pmr::monotonic_buffer_resource memory_{buffer_.data(), buffer_.size()};
  std::pmr::vector<std::uint64_t> words_;
  std::size_t bytes_;
};

auto is_of(schema::Request type) {
  return [type](const schema::RequestItem* item) { return item->body_type() == type; };
}

// Whether the answer depends on what was reclaimed.
bool looks_at_what_is_kept(schema::Request type) {
  switch (type) {
    case schema::Request::Pin:
    case schema::Request::Send:
    case schema::Request::Holders:
    case schema::Request::Stats:
    case schema::Request::Grant:
    case schema::Request::GrowLeases:
    case schema::Request::Spares:
      return true;
    default:
      return false;
  }
}

Answer done(Builder& b) { return answer(schema::CreateDone(b)); }
Answer count(Builder& b, std::uint64_t n) { return answer(schema::CreateCount(b, n)); }

}  // namespace

// The message is verified once, when it begins; its bytes are the same afterwards.
void Dispatch::begin_message(std::span<const std::byte> frame, Transport way) {
  const schema::RequestMessage& message = verified(frame);
  const auto& items = *message.items();
  auto& reply = in_progress_.at(static_cast<std::size_t>(way)).reply;
  // The reply may outlive this object and its channel.
  if (reply == nullptr || reply.use_count() > 1) {
    reply = std::make_shared<Reply>(
        [weak = weak_channel_](std::span<const std::byte> bytes, std::vector<SegmentFile> along, Transport to) {
          if (const auto channel = weak.lock()) channel->send(bytes, std::move(along), to);
        });
  }
  const bool silent = std::all_of(items.begin(), items.end(), is_of(schema::Request::Ring));
  // It is answered when the sessions, and so the rings, are gone.
  if (std::any_of(items.begin(), items.end(), is_of(schema::Request::Stop))) way = Transport::kSocket;
  reply->begin(message.sequence(), items.size(), silent ? std::nullopt : std::optional(way));
}

bool Dispatch::on_frame(std::span<const std::byte> frame, Transport way, Deadline turn_ends) {
  InProgress& now = in_progress_.at(static_cast<std::size_t>(way));
  if (now.next_item == 0) begin_message(frame, way);
  const auto& message = *flatbuffers::GetRoot<schema::RequestMessage>(frame.data());
  const auto& items = *message.items();
  do {
    const flatbuffers::uoffset_t i = now.next_item++;
    check_phase(*items[i]);
    answer_item(*items[i], message.sequence() + i, now.reply, i);
  } while (now.next_item < items.size() && Deadline::clock::now() < turn_ends);
  const bool finished = now.next_item == items.size();
  if (finished) now.next_item = 0;
  if (phase_ == Phase::kRefused) channel_.close("its session is refused: " + refusal_);
  services_.after_message();
  return finished;
}

void Dispatch::on_closed() {
  // A session that was never found locked holds nothing yet.
  if (session_ != 0 && phase_ != Phase::kAttached) {
    services_.sessions.remove(session_, "its client went away before it had locked it");
  } else if (session_ != 0) {
    services_.sessions.disconnect(session_, channel_);
  }
  services_.after_message();
}

void Dispatch::check_phase(const Item& item) {
  const bool is_hello = item.body_type() == schema::Request::Hello;
  const bool is_locked = item.body_type() == schema::Request::Locked;
  if (phase_ == Phase::kAttached && !is_hello && !is_locked) return;
  const std::string name = schema::EnumNameRequest(item.body_type());
  if (phase_ == Phase::kRefused) throw ProtocolError(name + " after its session was refused: " + refusal_);
  if (is_hello != (phase_ == Phase::kNew)) {
    throw ProtocolError(is_hello ? "a second Hello" : name + " where its Hello should be");
  }
  if (is_locked != (phase_ == Phase::kWelcomed)) {
    if (!is_hello) throw ProtocolError(is_locked ? "a Locked out of place" : name + " where its Locked should be");
  }
}

void Dispatch::answer_item(const Item& item, std::uint64_t sequence, const std::shared_ptr<Reply>& reply,
                           std::size_t index) {
  try {
    check_may(item);
    try {
      return serve(item, sequence, reply, index);
    } catch (const OutOfMemoryError&) {
      // Nobody is refused for want of what a client keeps that has ended unnoticed.
      if (!services_.sessions.remove_ended()) throw;
    }
    serve(item, sequence, reply, index);
  } catch (const ProtocolError&) {
    throw;
  } catch (const std::exception& e) {
    if (phase_ == Phase::kRefused) refusal_ = e.what();
    reply->set(index, error_answer(std::current_exception()));
  }
}

// Members of the group do what reading takes; everything else is the owner's.
void Dispatch::check_may(const Item& item) const {
  if (is_owners()) return;
  switch (item.body_type()) {
    case schema::Request::NONE:  // no request: malformed, whoever sends it
    case schema::Request::Hello:
    case schema::Request::Locked:
    case schema::Request::Pin:
    case schema::Request::Unpin:
    case schema::Request::Send:
    case schema::Request::Holders:
    case schema::Request::GrowLeases:
    case schema::Request::NextHeir:
    case schema::Request::Ring:
    case schema::Request::Stats:
      return;
    default:
      throw AccessError("uid " + std::to_string(channel_.peer().uid) + " may read the instance '" +
                        services_.store.name().instance + "' of uid " + std::to_string(services_.store.name().uid) +
                        ", and neither write to it, delete from it nor stop it; ask its owner to, or use a broker of "
                        "your own");
  }
}

std::optional<SegmentFile> Dispatch::file_for_member(std::uint64_t session) const {
  if (is_owners() || session == 0) return std::nullopt;
  return SegmentFile(services_.store.name().segment(SegmentKind::kSession, session));
}

void Dispatch::serve(const Item& item, std::uint64_t sequence, const std::shared_ptr<Reply>& reply, std::size_t index) {
  if (looks_at_what_is_kept(item.body_type()) && services_.is_put_off()) services_.store.reclaim_if_due();
  if (const auto* request = item.body_as_Publish()) return publish(*request, sequence, *reply, index);
  if (const auto* request = item.body_as_Delete()) return remove(*request, sequence, *reply, index);
  if (const auto* request = item.body_as_Grant()) return grant(*request, reply, index);
  if (const auto* request = item.body_as_Stop()) return stop(*request, reply, index);
  reply->set(index, handle(item, reply->builder()));
}

Answer Dispatch::handle(const Item& item, Builder& b) {
  Store& store = services_.store;
  switch (item.body_type()) {
    case schema::Request::Hello:
      return hello(*item.body_as_Hello(), b);
    case schema::Request::Locked:
      return locked(b);
    case schema::Request::GiveBack:
      store.give_back(session_, span_of(item.body_as_GiveBack()->extents()), span_of(item.body_as_GiveBack()->keep()));
      return done(b);
    case schema::Request::Pin: {
      const Pinned pinned = pin(*item.body_as_Pin());
      return answer(schema::CreatePinned(b, pinned.entry, pinned.generation));
    }
    case schema::Request::Unpin:
      store.unpin(session_, item.body_as_Unpin()->entry(), item.body_as_Unpin()->generation());
      return done(b);
    case schema::Request::Send: {
      const schema::Send& request = *item.body_as_Send();
      store.send(request.entry(), request.generation(), request.token(), session_);
      return done(b);
    }
    case schema::Request::Holders:
      return count(b, store.holders(item.body_as_Holders()->entry(), item.body_as_Holders()->generation()));
    case schema::Request::Spares:
      return spares(*item.body_as_Spares(), b);
    case schema::Request::GrowLeases:
      return count(b, store.grow_leases(session_, item.body_as_GrowLeases()->cells()));
    case schema::Request::NextHeir:
      return next_heir(*item.body_as_NextHeir(), b);
    case schema::Request::Stats:
      return statistics_answer(store, services_.started, b);
    default:  // Ring: the look at the ring words comes after every message
      return done(b);
  }
}

// As this broker's namespace numbers it, where it is to be seen there.
pid_t Dispatch::pid_of(const schema::Hello& hello) const {
  return channel_.peer().pid > 0 ? channel_.peer().pid : hello.pid();
}

Answer Dispatch::hello(const schema::Hello& hello, Builder& builder) {
  phase_ = Phase::kRefused;  // until all is well
  check_layout(hello);
  if (pid_is_forged(channel_.peer().pid, hello.pid())) {
    throw InvalidArgumentError("the client says that its pid is " + std::to_string(hello.pid()) +
                               ", and the kernel that it is " + std::to_string(channel_.peer().pid) +
                               "; say the one of the process that connects");
  }
  if (hello.session() != 0) return resume(hello, builder);
  session_ = services_.sessions.add(channel_.peer().uid, pid_of(hello));
  services_.sessions.connect(session_, channel_);
  phase_ = Phase::kWelcomed;
  return welcome(false, builder);
}

Answer Dispatch::resume(const schema::Hello& hello, Builder& builder) {
  const std::uint64_t session = hello.session();
  if (!services_.sessions.has(session)) {
    throw NotFoundError("there is no session " + std::to_string(session) + " any more; attach as a new one");
  }
  const uid_t uid = services_.store.session_info(session).uid;
  if (uid != channel_.peer().uid) {
    throw AccessError("session " + std::to_string(session) + " is uid " + std::to_string(uid) +
                      "'s; attach as a new one");
  }
  if (!services_.sessions.alive(session)) {
    services_.sessions.remove(session, "it came back without its lock");
    throw RuntimeError("session " + std::to_string(session) + " is not locked by its client; attach as a new one");
  }
  services_.sessions.check_claim(session, channel_);
  services_.store.reconcile(session, span_of(hello.extents()), span_of(hello.spares()));
  if (services_.store.session_info(session).process == 0) services_.store.promote_heir(session, pid_of(hello));
  session_ = session;
  services_.sessions.connect(session_, channel_);
  phase_ = Phase::kAttached;
  spdlog::info("session {} (pid {}) is connected again", session_, pid_of(hello));
  Answer result = welcome(true, builder);
  use_rings();
  return result;
}

// What was written for an earlier connection is passed over, so this comes before the client is answered.
void Dispatch::use_rings() { channel_.use_rings(services_.store.session_mapping(session_).command_rings()); }

Answer Dispatch::welcome(bool resumed, Builder& builder) const {
  const Store& store = services_.store;
  Answer result = answer(schema::CreateWelcome(builder, session_, store.catalog_id(), store.arena_id(), getpid(),
                                               store.options().capacity, resumed));
  if (!resumed) result.along = file_for_member(session_);
  return result;
}

Answer Dispatch::locked(Builder& builder) {
  if (!services_.sessions.alive(session_)) {
    phase_ = Phase::kRefused;
    throw RuntimeError("session " + std::to_string(session_) +
                       " is refused: its segment is not locked by the client (flock)");
  }
  phase_ = Phase::kAttached;
  const std::uint64_t heir = services_.sessions.add_heir(session_);
  const auto entries =
      is_owners() ? services_.store.grant_spares(session_, kFirstSpares) : std::vector<EntryId>{};  // to publish with
  spdlog::info("session {} (pid {}) is attached", session_, services_.store.session_info(session_).pid);
  Answer result = answer(schema::CreateAttached(builder, heir, builder.CreateVector(entries)));
  result.along = file_for_member(heir);
  use_rings();
  return result;
}

void Dispatch::publish(const schema::Publish& request, std::uint64_t sequence, Reply& reply, std::size_t item) {
  if (request.name() != nullptr) check_name(view_of(request.name()));
  const AlignedCopy header(span_of(request.header()));
  const std::uint64_t generation = services_.store.publish(session_, sequence,
                                                           {.entry = request.entry(),
                                                            .name = view_of(request.name()),
                                                            .header = header.bytes(),
                                                            .block_offset = request.block_offset(),
                                                            .block_bytes = request.block_bytes(),
                                                            .is_bundle = request.is_bundle(),
                                                            .is_mutable = request.is_mutable(),
                                                            .overwrite = request.overwrite()});
  // What a large block replaced is its client's again before it needs room for the next one: no fourth version.
  if (request.block_bytes() >= kPageAlignedBlock) services_.store.reclaim_if_due();
  EntryId spare = kNoEntry;
  try {
    spare = services_.store.grant_spare(session_);
  } catch (const Error& e) {
    spdlog::debug("session {} gets no spare: {}", session_, e.what());
  }
  reply.set_published(item, generation, spare);
}

void Dispatch::remove(const schema::Delete& request, std::uint64_t sequence, Reply& reply, std::size_t item) {
  check_name(view_of(request.name()));
  try {
    services_.store.remove(session_, sequence, view_of(request.name()), request.generation());
  } catch (const ReplacedError& e) {
    Answer refused = count(reply.builder(), e.generation());
    refused.error = e.code();
    refused.message = e.what();
    return reply.set(item, std::move(refused));
  }
  reply.set_done(item);
}

Pinned Dispatch::pin(const schema::Pin& request) {
  // Members see the tokens of others in the catalog: what they receive stays on its way until its time is over.
  if (request.token() != 0 && is_owners()) {
    return services_.store.receive(session_, request.entry(), request.generation(), request.token());
  }
  if (request.name() == nullptr) {
    return services_.store.pin_entry(session_, request.entry(), request.generation());
  }
  check_name(view_of(request.name()));
  return services_.store.pin_name(session_, view_of(request.name()));
}

Answer Dispatch::spares(const schema::Spares& request, Builder& builder) {
  const auto entries = services_.store.grant_spares(session_, std::min(request.count(), Store::kMaxSpares));
  return answer(schema::CreateSpareEntries(builder, builder.CreateVector(entries)));
}

Answer Dispatch::next_heir(const schema::NextHeir& request, Builder& builder) {
  services_.sessions.settle_heirs(session_, request.used());
  const std::uint64_t heir = services_.sessions.add_heir(session_);
  Answer result = answer(schema::CreateHeirGranted(builder, heir));
  result.along = file_for_member(heir);
  return result;
}

void Dispatch::grant(const schema::Grant& request, const std::shared_ptr<Reply>& reply, std::size_t item) {
  services_.memory.grant(session_, request.bytes(), [reply, item](const Granted* granted, std::exception_ptr error) {
    if (granted == nullptr) return reply->set(item, error_answer(error));
    const Granted& g = *granted;
    reply->set(item, answer(schema::CreateGranted(reply->builder(), g.extent, g.slot, g.range.offset, g.range.bytes)));
  });
}

void Dispatch::stop(const schema::Stop& request, const std::shared_ptr<Reply>& reply, std::size_t item) {
  spdlog::info("pid {} says stop{}", channel_.peer().pid, request.keep() ? " --keep" : "");
  services_.stop(request.keep(), [reply, item] { reply->set(item, done(reply->builder())); });
}

}  // namespace tensorbroker::broker
