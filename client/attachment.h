// One instance that this process is attached to: its catalog and arena mapped, a session of its own, a connection.
//
// An attachment outlives its broker (a successor adopts the instance, and the next call resumes the session) and its
// clients (while storages are left). It ends with its instance: calls then throw InstanceEnded, Connection attaches to
// whoever is there next, and what is still held stays readable. After fork it serves the child with a session of the
// child's own. Thread safe.

#ifndef TENSORBROKER_CLIENT_ATTACHMENT_H_
#define TENSORBROKER_CLIENT_ATTACHMENT_H_

#include <tensorbroker/error.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/arena_map.h"
#include "client/block_allocator.h"
#include "client/calls.h"
#include "client/channel.h"
#include "client/launch.h"
#include "client/lease_table.h"
#include "client/limit.h"
#include "client/storage.h"
#include "proto/catalog.h"
#include "proto/lookup.h"
#include "proto/session.h"

namespace tensorbroker {

// The instance ended in good order, or its broker knows this session no more: attach anew (Connection does) and repeat.
class InstanceEnded : public BrokerUnavailableError {
 public:
  using BrokerUnavailableError::BrokerUnavailableError;
};

// No broker was to be had, and nothing was sent: the outcome is known.
class NothingSent : public BrokerUnavailableError {
 public:
  using BrokerUnavailableError::BrokerUnavailableError;
};

// What to publish a block as.
struct Publication {
  std::string_view name;  // checked by the caller; empty: anonymous
  std::span<const std::byte> header;
  std::uint64_t nbytes = 0;  // of the data, unpadded
  bool is_bundle = false;
  bool is_mutable = false;
  bool overwrite = true;
};

class Attachment {
 public:
  // Attaches with a session of its own. Starts a broker where there is none and the target says so; with autostart off
  // and no broker alive, BrokerUnavailableError at once. Throws VersionMismatchError, Error and what the daemon said.
  Attachment(const Target& target, const Limit& limit);
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  // ---- reading: no system call and no message, the rare cases apart that are said.
  // Leases what the name denotes; empty where there is none. The storage is read-only. InstanceEnded where the instance
  // ended; where names change faster than one can look, or the lease table is full, the broker is asked within `limit`.
  detail::StorageRef lease_by_name(std::string_view name, std::uint64_t hash, const Limit& limit);
  detail::StorageRef lease_by_name(std::string_view name, const Limit& limit);
  // The hot path of it: empty where the name is not there, and wherever anything else is needed than one lookup.
  detail::StorageRef try_lease_by_name(std::string_view name, std::uint64_t hash);
  // The same for those who must not block, saying what it was: kContended, where no lease is free too, is for
  // lease_by_name to settle. Throws CorruptSegmentError.
  LookupStatus try_lease_by_name(std::string_view name, std::uint64_t hash, detail::StorageRef* found);
  // Leases what a handle denotes: `version` is the generation's counter. Empty where that is gone. A live entry needs
  // no message; a retired or anonymous one is pinned by the broker meanwhile.
  detail::StorageRef lease_by_handle(EntryId entry, std::uint64_t version, const Limit& limit);
  // Has the broker keep what a leased storage holds, for the process that will receive() this token, at most a minute.
  void send(const detail::Storage& leased, std::uint64_t token, const Limit& limit);
  // Leases what was sent with this token. Empty where that is gone.
  detail::StorageRef receive(EntryId entry, std::uint64_t version, std::uint64_t token, const Limit& limit);
  // Leases the entry if it is live now; for walks over the index. Empty where it is not.
  detail::StorageRef lease_entry(EntryId entry, const Limit& limit);
  // A writable storage of a leased mutable one ("r+"): one mapping for each block and process.
  // Throws ReadOnlyError where it is sealed, AccessError where it is another user's. Keeps a lease of its own.
  detail::StorageRef open_writable(const detail::StorageRef& leased, const Limit& limit);

  // ---- writing
  // A draft of `nbytes` bytes in an own extent, writable.
  detail::StorageRef create_draft(std::uint64_t nbytes, detail::DraftSpec spec, const Limit& limit);
  // Publishes a draft as its spec says, with `header`; it is then leased, sealed and read-only, at the same address.
  // Throws ExistsError and so on, leaving it a draft; where the outcome is unknown, BrokerUnavailableError, and the
  // draft is spent. RuntimeError where it is no draft, or one of the process that this one was forked from.
  void publish_draft(detail::Storage& draft, std::span<const std::byte> header, const Limit& limit);
  // Gives the draft's memory back; the storage is empty afterwards. RuntimeError where it is no draft.
  void discard_draft(detail::Storage& draft);

  // The same without a draft: allocate, fill, publish. publish() takes the block over whatever happens. The storage is
  // leased: read-only through the arena's mapping, or writable where `publication.is_mutable`.
  Block allocate(std::uint64_t nbytes, bool is_mutable, const Limit& limit);
  void discard(const Block& block);
  detail::StorageRef publish(const Block& block, const Publication& publication, const Limit& limit);
  // Deletes whatever the name denotes now. Throws NotFoundError.
  void remove(std::string_view name, const Limit& limit);
  void reserve(std::uint64_t nbytes, const Limit& limit) { allocator_.reserve(nbytes, limit); }

  // ---- the rest
  Calls& calls() noexcept { return *calls_; }
  const Catalog& catalog() const noexcept { return catalog_; }
  const ArenaMap& arena() const noexcept { return *arena_; }
  SessionControl& control() const noexcept { return session_->control(); }
  BlockAllocator& allocator() noexcept { return allocator_; }
  std::uint64_t session_id() const noexcept { return session_id_.load(std::memory_order_acquire); }
  const Target& target() const noexcept { return target_; }
  const InstanceName& name() const noexcept { return target_.name; }
  const InstanceId& instance_id() const noexcept { return catalog_.segment().instance(); }
  std::uint64_t leases() const noexcept { return leases_->used(); }

  // The instance ended, its tables were truncated, or this process is a child that could take nothing over.
  bool has_ended() const noexcept;
  bool is_detached() const noexcept { return detached_.load(std::memory_order_acquire); }
  bool is_orphan() const noexcept { return orphan_.load(std::memory_order_acquire); }

  // Looks, without waiting, whether the connection is alive, and resumes the session where it is not: waiters call it
  // between their slices of sleep, so that somebody starts a successor. Throws InstanceEnded; where no broker could be
  // had within `limit` it returns quietly.
  void look_after_broker(const Limit& limit);
  // ---- segments that somebody truncated, as faults have shown (tensorbroker/sigbus.h)
  // Whether catalog, session or any byte of the block was found gone. Makes no system call while nothing was.
  bool has_lost(std::uint64_t offset, std::uint64_t bytes) noexcept;
  // The same, and whether the arena's file is too short for the block now: one system call.
  bool is_cut_off(std::uint64_t offset, std::uint64_t bytes) noexcept;
  [[noreturn]] void throw_lost() const;
  // After tables were read: throws InstanceEnded where they were found gone, so that zeros may have been read.
  void check_intact();

  // Nobody looked within the last second.
  bool look_is_due() const noexcept;

  // While one is alive the mappings stay, even if the instance ends meanwhile. Throws InstanceEnded where they are
  // gone.
  class Use {
   public:
    explicit Use(Attachment& attachment);
    Use(Use&& other) noexcept : attachment_(std::exchange(other.attachment_, nullptr)) {}
    Use& operator=(Use&&) = delete;
    ~Use();
    Attachment* operator->() const noexcept { return attachment_; }
    Attachment& operator*() const noexcept { return *attachment_; }

   private:
    Attachment* attachment_;
  };

  // The same, over many calls; a forked child begins with none. REQUIRES: a use, when it begins.
  class Keep {
   public:
    explicit Keep(Attachment& attachment) noexcept : attachment_(attachment) { attachment.keeps_.fetch_add(1); }
    ~Keep();
    Keep(const Keep&) = delete;
    Keep& operator=(const Keep&) = delete;

   private:
    Attachment& attachment_;
  };

  // Unmaps everything where no lease, draft or use is left, and says whether it did (or had). Every function above then
  // throws InstanceEnded. Called by the registry.
  bool detach_if_unused() noexcept;

  // ---- for storages
  void give_up(std::uint32_t cell, EntryId entry) noexcept;
  // The draft's block goes back to the allocator. The draft no longer keeps this attachment.
  void end_draft(const detail::Storage& draft) noexcept;
  void unmap_mutable(const detail::Storage& storage) noexcept;
  // Copy-on-write pages over a leased storage; null where none can be had.
  std::byte* map_private(const detail::Storage& leased) noexcept;
  bool unmap_private(std::byte* data, std::uint64_t bytes) noexcept { return arena_->unmap_private(data, bytes); }

  // ---- for fork.cc
  void before_fork() noexcept;    // makes sure of an heir; takes no lock that it keeps
  void lock_for_fork() noexcept;  // and copies the leases
  void after_fork_in_parent() noexcept;
  void after_fork_in_child() noexcept;

 private:
  friend class PublishBatch;
  struct Attached;  // what the handshake brings
  Attachment(const Target& target, Attached attached);
  static Attached attach(const Target& target, const Limit& limit);
  static Attached greet(const Target& target, std::shared_ptr<Socket> socket, const Limit& limit);

  std::unique_ptr<Calls> make_calls();
  BrokerUnavailableError outcome_unknown() const;
  ReplyFrame request(std::uint64_t sequence, const Frame& frame, const Limit& limit, std::uint64_t posted = 0);
  void connect(const Limit& limit);
  bool connect_once(const Limit& limit);
  bool resume(const std::shared_ptr<Socket>& socket, const Limit& limit);
  bool take_welcome(const std::shared_ptr<Socket>& socket, const Limit& limit);
  HelloSpec own_things();
  bool lost_tables() const noexcept;
  void check_intact(std::uint64_t offset, std::uint64_t bytes);  // also CorruptSegmentError, where the block is gone
  void end() noexcept { ended_.store(true, std::memory_order_release); }
  void check_not_ended() const;
  [[noreturn]] void throw_ended() const;

  OwnExtent grant(std::uint64_t bytes, const Limit& limit);
  void placed(const OwnExtent& own);
  void give_back(const std::vector<GivenBack>& given, std::uint64_t epoch) noexcept;

  // A spare entry lent to a publication, and the cell that leases it.
  struct Lent {
    EntryId entry = kNoEntry;
    std::uint32_t cell = 0;
    bool leases = false;  // the cell is this loan's
  };
  Lent lend(EntryId spare, const Limit& limit);
  EntryId take_spare(const Limit& limit);
  EntryId spare_at_hand();
  bool ask_for_spares(std::uint32_t count, const Limit& limit);
  void put_spare(EntryId entry, std::uint64_t epoch);
  void end_loan(const Lent& lent) noexcept;
  // A publication in progress: what its block becomes is settled once, by one of the three that follow.
  struct Leaving {
    Block block;
    Lent lent;
    std::uint64_t floor = 0;  // no generation of it can be lower
  };
  Leaving begin_publication(const Block& block, const Limit& limit);
  Leaving leave_with(EntryId spare, const Block& block, const Limit& limit);
  // nullopt where there is no spare to be had at once: whoever has others in progress ends those first.
  std::optional<Leaving> try_begin_publication(const Block& block, std::uint32_t spares_wanted, const Limit& limit);
  static PublishSpec spec_of(const Leaving& leaving, const Publication& publication);
  // Publishes the block; the cell of what is returned leases the entry.
  struct PublishedLease {
    std::uint32_t cell = 0;
    EntryId entry = kNoEntry;
    std::uint64_t generation = 0;
  };
  PublishedLease end_published(const Leaving& leaving, const PublishedEntry& published);
  void end_refused(const Leaving& leaving);   // the block is the caller's again
  void end_in_doubt(const Leaving& leaving);  // nobody knows: the block is nobody's until the broker says so
  void end_failed(const Leaving& leaving, const std::exception_ptr& error);  // one of the two, as it says
  PublishedLease publish_block(const Block& block, const Publication& publication, const Limit& limit);

  LeaseTable::Taking take_lease(const Limit& limit);
  LookupStatus look_up(std::string_view name, std::uint64_t hash, LeaseTable::Taking& taking,
                       detail::StorageRef* found);
  // Leaves nothing of the draft. This attachment may be gone when it returns.
  void spend_draft(detail::Storage& draft) noexcept;
  // Makes the storage of a lease in its slab cell. REQUIRES: the cell leases the entry.
  detail::StorageRef leased_storage(std::uint32_t cell, EntryId entry, std::uint64_t generation);
  // The same, keeping what was taken.
  detail::StorageRef leased_storage(LeaseTable::Taking&& taking, EntryId entry, std::uint64_t generation);
  void make_writable(detail::Storage& storage);
  detail::StorageRef lease_pinned(const PinnedEntry& pinned, const Limit& limit);
  void ring() noexcept;

  void take_next_heir(const Limit& limit);
  void ask_for_heir(std::uint64_t used) noexcept;
  void become_heir() noexcept;
  void become_orphan() noexcept;
  void renew_in_child() noexcept;
  void say_hello_without_waiting() noexcept;
  void unmap_all() noexcept;
  bool is_in_use() const noexcept;

  Target target_;
  Catalog catalog_;
  std::uint64_t catalog_id_ = 0;
  std::unique_ptr<ArenaMap> arena_;
  std::unique_ptr<SessionSegment> session_;
  std::atomic<std::uint64_t> session_id_{0};
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Calls> calls_;
  std::unique_ptr<LeaseTable> leases_;
  BlockAllocator allocator_;

  std::atomic<bool> ended_{false};
  std::atomic<bool> orphan_{false};
  std::atomic<bool> detached_{false};
  std::atomic<std::int64_t> uses_{0};
  std::atomic<std::int64_t> keeps_{0};
  std::atomic<Limit::Clock::rep> last_look_{0};
  // Draft storages, those of the parent's included: they name this attachment, whatever blocks they have.
  std::atomic<std::int64_t> drafts_{0};

  // Held while a lost connection is made again; renewed in a forked child.
  std::unique_ptr<std::timed_mutex> connecting_;

  std::mutex state_;  // guards what follows; short
  std::vector<EntryId> spares_;
  std::vector<Lent> lent_;           // spares of publications in progress
  std::vector<OwnExtent> granting_;  // granted, not with the allocator yet
  std::uint64_t void_epoch_ =
      0;  // what was given on this connection or an earlier one, and is not noted by now, is void
  std::vector<OwnExtent> inherited_;  // of a child: the parent's extents, private
  std::shared_ptr<Socket> greeted_;   // of a child: Hello was sent, the Welcome not read yet
  std::unique_ptr<SessionSegment> heir_;
  std::uint64_t heir_id_ = 0;
  std::uint64_t heir_request_ = 0;  // number of a NextHeir whose reply was not taken yet
  std::uint64_t heir_request_epoch_ = 0;
  bool heir_has_leases_ = false;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_ATTACHMENT_H_
