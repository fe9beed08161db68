// One client's requests, turned into calls of the store and answers. See proto/schema/control.fbs for the messages.
//
// Whatever a well-formed request runs into is an answer with an error; what breaks the protocol is a ProtocolError and
// costs the connection: a message that does not verify or has no or too many items, an item without body, anything
// before Hello, anything but Locked right after the Welcome of a new session, a second Hello, anything
// after a refusal.
// On the loop's thread.

#ifndef TENSORBROKER_BROKER_DISPATCH_H_
#define TENSORBROKER_BROKER_DISPATCH_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "broker/channel.h"
#include "broker/reply.h"
#include "broker/services.h"
#include "proto/schema/control_generated.h"

namespace tensorbroker::broker {

class Dispatch final : public ChannelHandler {
 public:
  // Entries that a session has in hand for its next publications.
  static constexpr std::uint32_t kFirstSpares = 16;

  // The channel lives until on_closed() returned; replies that come later find it gone.
  Dispatch(Services& services, const std::shared_ptr<Channel>& channel)
      : services_(services), channel_(*channel), weak_channel_(channel) {}

  bool on_frame(std::span<const std::byte> frame, Transport way, Deadline turn_ends) override;
  bool greeted() const noexcept override { return phase_ == Phase::kAttached; }
  void on_closed() override;

 private:
  enum class Phase { kNew, kWelcomed, kAttached, kRefused };
  using Item = schema::RequestItem;

  using Builder = Reply::Builder;

  void serve(const Item& item, std::uint64_t sequence, const std::shared_ptr<Reply>& reply, std::size_t index);
  // Each returns the answer, its body written, or throws the error that is to be answered.
  Answer handle(const Item& item, Builder& builder);
  pid_t pid_of(const schema::Hello& hello) const;
  Answer hello(const schema::Hello& hello, Builder& builder);
  Answer resume(const schema::Hello& hello, Builder& builder);
  Answer welcome(bool resumed, Builder& builder) const;
  Answer locked(Builder& builder);
  Pinned pin(const schema::Pin& request);
  Answer spares(const schema::Spares& request, Builder& builder);
  void check_may(const Item& item) const;
  bool is_owners() const { return channel_.peer().uid == services_.store.name().uid; }
  // A session's segment, for a client that may not open it by name.
  std::optional<SegmentFile> file_for_member(std::uint64_t session) const;
  Answer next_heir(const schema::NextHeir& request, Builder& builder);

  // Those that answer on their own, now or later.
  void publish(const schema::Publish& request, std::uint64_t sequence, Reply& reply, std::size_t item);
  void remove(const schema::Delete& request, std::uint64_t sequence, Reply& reply, std::size_t item);
  void grant(const schema::Grant& request, const std::shared_ptr<Reply>& reply, std::size_t item);
  void stop(const schema::Stop& request, const std::shared_ptr<Reply>& reply, std::size_t item);

  // A message that is being handled.
  struct InProgress {
    std::shared_ptr<Reply> reply;          // used for the next message too, unless somebody still owes it an answer
    flatbuffers::uoffset_t next_item = 0;  // 0: none is being handled
  };

  void begin_message(std::span<const std::byte> frame, Transport way);
  void use_rings();
  void check_phase(const Item& item);
  void answer_item(const Item& item, std::uint64_t sequence, const std::shared_ptr<Reply>& reply, std::size_t index);

  Services& services_;
  Channel& channel_;
  std::weak_ptr<Channel> weak_channel_;
  Phase phase_ = Phase::kNew;
  std::uint64_t session_ = 0;
  std::string refusal_;
  std::array<InProgress, 2> in_progress_;  // by transport
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_DISPATCH_H_
