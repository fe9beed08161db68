// The requests of the control connection as functions: builds the messages, checks the replies, turns errors into
// exceptions of their class.
//
// Mutations (publish, remove) carry numbers from a sequence of their own, at most kWindow of them from the oldest
// unanswered to the newest, and are repeated with the same number after a reconnect; other requests are numbered apart
// (the top bit is set) and repeated as they are. Thread safe. After fork the child makes new ones: its session's
// sequence begins anew, and what was outstanding is its parent's.

#ifndef TENSORBROKER_CLIENT_CALLS_H_
#define TENSORBROKER_CLIENT_CALLS_H_

#include <tensorbroker/client.h>
#include <tensorbroker/error.h>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "client/channel.h"
#include "client/limit.h"
#include "proto/catalog_layout.h"
#include "proto/schema/control_generated.h"

namespace tensorbroker {

[[noreturn]] void throw_wrong_reply(schema::Reply type);

// A reply: a verified ReplyMessage lies in `frame`.
struct ReplyFrame {
  Frame frame;
  std::uint64_t epoch = 0;  // of the connection that it came by
  ReceivedFile file{};      // that came along

  const schema::ReplyMessage& message() const { return *flatbuffers::GetRoot<schema::ReplyMessage>(frame.data()); }
  // The only item, or one of `count`. Throws the class of its error, if it is one.
  const schema::ReplyItem& item(std::size_t index = 0, std::size_t count = 1) const;
};
// The body of a reply's item. Throws RuntimeError where it is another one.
template <class Body>
const Body& body_of(const schema::ReplyItem& item) {
  if (item.body_type() != schema::ReplyTraits<Body>::enum_value) throw_wrong_reply(item.body_type());
  return *static_cast<const Body*>(item.body());
}

// Requests that Calls does not send: those of the handshake, of fork, and the doorbell.
struct HelloSpec {
  std::uint64_t session = 0;
  std::vector<std::uint32_t> extents;
  std::vector<std::uint32_t> spares;
};
Frame build_hello(std::uint64_t sequence, const HelloSpec& hello);
Frame build_locked(std::uint64_t sequence);
Frame build_next_heir(std::uint64_t sequence, std::uint64_t used);
Frame build_ring();

struct GrantedExtent {
  std::uint32_t id = 0, slot = 0;
  std::uint64_t offset = 0, bytes = 0;
  std::uint64_t epoch = 0;  // of the connection that it was granted on: void if that is not the current one
};
struct PublishSpec {
  EntryId entry = kNoEntry;
  std::string_view name;  // empty: anonymous
  std::span<const std::byte> header;
  std::uint64_t block_offset = 0, block_bytes = 0;
  bool is_bundle = false, is_mutable = false, overwrite = true;
};
struct PublishedEntry {
  std::uint64_t generation = 0;
  EntryId spare = kNoEntry;
  std::uint64_t epoch = 0;
};
struct PinnedEntry {
  EntryId entry = kNoEntry;
  std::uint64_t generation = 0;
};

// Publications that went out as one message and were not waited for.
struct PostedPublications {
  std::uint64_t sequence = 0;  // of the first
  std::uint64_t epoch = 0;     // of the connection that it went out on; 0: on none yet
  std::optional<Channel::Way> way{};
};

class Calls {
 public:
  // How the messages travel.
  struct Transport {
    // Sends a request, after a reconnect where that is needed, until it was answered or `limit` passed.
    // Throws BrokerUnavailableError (saying that the outcome is unknown, where it is), ClosedError, InstanceEnded.
    std::function<ReplyFrame(std::uint64_t sequence, const Frame&, const Limit&)> request;
    // Sends on the connection of this epoch (0: whichever is in use), if it is still there, and forgets it.
    std::function<void(const Frame&, std::uint64_t epoch)> post;
    // Sends as Channel::post_and_keep() does. The reply is kept for take, which throws as request does, and repeats it
    // where the connection was lost; epoch 0: it was not sent yet.
    std::function<std::optional<Channel::Way>(std::uint64_t sequence, const Frame&, std::uint64_t epoch,
                                              std::optional<Channel::Way> after)>
        post_and_keep;
    std::function<ReplyFrame(std::uint64_t sequence, const Frame&, std::uint64_t epoch, const Limit&)> take;
  };

  explicit Calls(Transport transport) : transport_(std::move(transport)) {}

  GrantedExtent grant(std::uint64_t bytes, const Limit& limit);
  // All but the first `keep` bytes of each, or, where it is empty, all of them. On the connection of `epoch`, not
  // waited for and never repeated: of what a lost connection did not deliver, the next Hello does not list what went
  // whole.
  void give_back(const std::vector<std::uint32_t>& extents, const std::vector<std::uint64_t>& keep,
                 std::uint64_t epoch);

  PublishedEntry publish(const PublishSpec& spec, const Limit& limit);
  // Several at once, at most kMaxItemsPerRequest: sent here on the connection of `epoch`, and waited for by
  // take_publications(), which has to be called once. try_ sends them to be carried out after those that went `after`
  // on the same epoch; it returns nullopt where they cannot be sent so at once, or too many mutations are unanswered.
  // The other waits for room; what it could not send take_publications() sends: so the former ones have to be taken.
  // Whoever needs room takes the oldest reply that nobody has come for, and keeps it for who will.
  std::optional<PostedPublications> try_post_publications(std::span<const PublishSpec> specs, std::uint64_t epoch,
                                                          std::optional<Channel::Way> after);
  PostedPublications post_publications(std::span<const PublishSpec> specs, std::uint64_t epoch, const Limit& limit);
  ReplyFrame take_publications(const PostedPublications& posted, const Limit& limit);
  // What the reply says of one of `count`. Throws the class of its error.
  static PublishedEntry published_of(const ReplyFrame& reply, std::size_t index, std::size_t count);
  // True: done. False: the name has another generation now, stored to `*current`. Throws NotFoundError.
  bool remove(std::string_view name, std::uint64_t generation, std::uint64_t* current, const Limit& limit);

  // By name, or (name empty) by entry and generation; `token`: of what is received hereby, or 0. Throws NotFoundError.
  // unpin() is not waited for.
  PinnedEntry pin(std::string_view name, EntryId entry, std::uint64_t generation, std::uint64_t token,
                  const Limit& limit);
  void unpin(const PinnedEntry& pinned);
  // Has the broker keep the entry for whoever receives the token. Throws NotFoundError.
  void send(EntryId entry, std::uint64_t generation, std::uint64_t token, const Limit& limit);
  std::uint64_t holders(EntryId entry, std::uint64_t generation, const Limit& limit);

  // Spares with the epoch they were given in.
  std::vector<EntryId> spares(std::uint32_t count, std::uint64_t* epoch, const Limit& limit);
  void grow_leases(std::uint32_t cells, const Limit& limit);
  Stats stats(const Limit& limit);
  void stop(bool keep, const Limit& limit);

  // A number for a request that is no mutation.
  std::uint64_t next_number();

 private:
  template <class Body>
  ReplyFrame ask(const Body& body, const Limit& limit);
  template <class Body>
  ReplyFrame mutate(const Body& body, const Limit& limit);
  // A message that take_publications() was not called for yet.
  struct Posted {
    Frame frame;
    std::uint64_t epoch = 0;
    bool is_being_taken = false;
    std::optional<ReplyFrame> reply{};  // taken by who needed room
  };

  bool has_room(std::size_t count) const;
  bool take_oldest_posted(std::unique_lock<std::mutex>& held, const Limit& limit);
  std::uint64_t begin_mutations(std::size_t count, const Limit& limit);
  std::uint64_t take_numbers(std::size_t count);
  void end_mutations(std::uint64_t sequence);
  PostedPublications post(std::uint64_t sequence, std::span<const PublishSpec> specs, std::uint64_t epoch,
                          std::optional<Channel::Way> after);

  Transport transport_;
  std::mutex mutex_;
  std::condition_variable turned_;
  std::uint64_t next_mutation_ = 1;
  std::vector<std::uint64_t> outstanding_;  // the first mutation of each message that was not answered, in order
  std::map<std::uint64_t, Posted> posted_;  // by the first mutation
  std::uint64_t next_number_ = 1;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_CALLS_H_
