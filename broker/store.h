// The broker's state: everything that is granted and published, in the catalog and beside it.
//
// The daemon turns messages into these calls and their results, or the tensorbroker::Error that they throw, into
// replies. A call that throws leaves the state as it was. Nothing here opens a socket, starts a thread or waits:
// reserving and punching pages of the arena is handed out as work (Reservation, take_punch_work) that one worker thread
// does on arena(), in the order in which it was handed out. Not thread safe, arena() apart: one thread calls the rest.
//
// Invariants: what is granted is on record in the catalog before the call returns; a page of the arena is in exactly
// one of: an extent, a block without extent, the pool, a piece of work handed out. Everything can be rebuilt from the
// segments by adopt(), whenever the process was killed.

#ifndef TENSORBROKER_BROKER_STORE_H_
#define TENSORBROKER_BROKER_STORE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "broker/accounts.h"
#include "broker/arena_file.h"
#include "broker/range.h"
#include "proto/catalog.h"
#include "proto/session.h"
#include "tensorbroker/error.h"

namespace tensorbroker::broker {

// Told of every session segment that the store maps and unmaps, so that a guard can know their addresses. May be empty.
struct StoreHooks {
  std::function<void(SessionSegment&)> mapped;
  std::function<void(SessionSegment&)> unmapping;
};

// Whether the client of a session lives: its lock is held. Asked at adoption for each session that has a segment.
using IsAlive = std::function<bool(std::uint64_t session)>;

struct SessionInfo {
  std::uint64_t id = 0;
  pid_t pid = 0;
  uid_t uid = 0;
  std::uint64_t parent = 0;   // of an heir that no child has taken over yet; else 0
  std::uint64_t charged = 0;  // bytes of its extents and of its grants under way
  std::uint64_t process = 0;  // see identify(); 0: unknown, or an heir that no process has said Hello for
  std::uint64_t origin = 0;   // of what was an heir: the parent's id, whatever became of it
};

// A grant under way: `range` is charged, and nobody else's. The worker calls arena().prepare(punch, reserve).
struct Reservation {
  std::uint64_t session = 0;
  Range range;
  std::vector<Range> punch;
  std::vector<Range> reserve;
  // Nothing to do for the worker: finish it at once.
  bool ready() const { return punch.empty() && reserve.empty(); }
};

struct Granted {
  std::uint32_t extent = 0;
  std::uint32_t slot = 0;  // of its state word in the session's segment
  Range range;
};

struct Publication {
  EntryId entry = kNoEntry;
  std::string_view name{};  // empty: anonymous
  std::span<const std::byte> header{};
  std::uint64_t block_offset = 0;
  std::uint64_t block_bytes = 0;  // as the client says it, before padding
  bool is_bundle = false;
  bool is_mutable = false;
  bool overwrite = true;
};

struct Pinned {
  EntryId entry = kNoEntry;
  std::uint64_t generation = 0;  // as it is now: live, or with its live bit clear
};

// A delete named another generation than the one that is there now.
class ReplacedError : public NotFoundError {
 public:
  ReplacedError(const std::string& message, std::uint64_t generation)
      : NotFoundError(message), generation_(generation) {}
  std::uint64_t generation() const noexcept { return generation_; }

 private:
  std::uint64_t generation_;
};

struct Statistics {
  std::uint64_t capacity = 0;
  std::uint64_t used = 0;      // bytes of extents, of grants under way and of blocks without extent
  std::uint64_t live = 0;      // bytes of blocks that a name leads to
  std::uint64_t retired = 0;   // bytes of the other blocks, anonymous ones too
  std::uint64_t free = 0;      // capacity - used
  std::uint64_t warm = 0;      // bytes of pages kept in the pool
  std::uint64_t pooled = 0;    // bytes of address space that is nobody's: to be granted
  std::uint64_t tensors = 0;   // named
  std::uint64_t bundles = 0;   // named
  std::uint64_t sessions = 0;  // attached processes: heirs that nobody took over do not count
  std::uint64_t leases = 0;    // cells of all lease tables that name something, heirs' copies included
  std::uint64_t pins = 0;      // of sessions
  std::uint64_t sent = 0;      // pins of what is on its way from one process to another
  // Counted since this broker began.
  std::uint64_t publications = 0;
  std::uint64_t deletions = 0;
  std::uint64_t reclaimed = 0;  // entries freed
  std::uint64_t reclaim_passes = 0;
  std::uint64_t block_returns = 0;  // blocks sent back to their extent's owner
  std::uint64_t grants = 0;
  std::uint64_t extents_taken = 0;  // from living sessions, under pressure
  std::uint64_t index_rebuilds = 0;
  std::uint64_t punched_bytes = 0;
  std::uint64_t prepared_bytes = 0;
};

class Store {
 public:
  // Creates catalog and arena. `options` says capacity and limits; ids, arena and created_us are filled in here (a
  // created_us that is not 0 is kept). Throws OutOfMemoryError where /dev/shm is full; then nothing is left.
  static Store create(const InstanceName& name, const InstanceId& instance, CatalogOptions options,
                      StoreHooks hooks = {});

  // Looks at what lies in /dev/shm of this instance. Unfinished and orphaned segments are deleted, an instance that
  // had ended (closed root) is ended for good; what a killed broker left is adopted, its sessions that are not alive
  // revoked, every futex word woken. Returns nullopt where nothing is to be adopted. The caller holds the lock.
  // Throws VersionMismatchError, having deleted nothing, where a catalog has another layout.
  static std::optional<Store> adopt(const InstanceName& name, const IsAlive& is_alive, const StoreHooks& hooks = {});

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();  // leaves all segments as they are

  const InstanceName& name() const noexcept;
  Catalog& catalog() noexcept;
  std::uint64_t catalog_id() const noexcept;
  std::uint64_t arena_id() const noexcept;
  const ArenaFile& arena() const noexcept;
  // Whether somebody truncated it, as a fault has shown or the length of its file does. Nothing may be done then but
  // close_root() and unlink_all().
  bool catalog_is_truncated() const;
  // The options in force: those of the catalog, changed by set_limits.
  const CatalogOptions& options() const noexcept;
  // For a successor that was told otherwise by explicit flags. `capacity` is cut down to the arena's address range.
  // Of the rest of the options nothing changes.
  void set_limits(const CatalogOptions& limits);
  // Lets the members of a group read catalog and arena (mode 0640), which a successor finds so. Throws Error where this
  // user may not give them to it.
  void share_with(gid_t group);
  // Whom they are shared with.
  std::optional<gid_t> group() const;

  // ---- sessions
  // Creates segment and record. `parent` != 0: an heir. Throws QuotaError where max_sessions or the user's limit
  // is reached, and OutOfMemoryError.
  std::uint64_t add_session(uid_t uid, pid_t pid, std::uint64_t parent = 0);
  // Death, or refusal: spares, pins and extents are freed, the record removed, the segment unlinked, and a reclaim pass
  // run. Heirs are the caller's to look at (heirs_of), before or after. No effect on an unknown id.
  void remove_session(std::uint64_t session);
  // A child took over an heir: it is a session in its own right from now on.
  void promote_heir(std::uint64_t session, pid_t pid);
  // Which process the session is, told from all others since the boot (peer.h).
  void identify(std::uint64_t session, std::uint64_t process);
  bool has_session(std::uint64_t session) const noexcept;
  bool has_sessions() const noexcept;
  std::vector<std::uint64_t> sessions() const;  // ascending
  std::vector<std::uint64_t> heirs_of(std::uint64_t session) const;
  // Throw NotFoundError for an unknown id.
  SessionInfo session_info(std::uint64_t session) const;
  SessionSegment& session_mapping(std::uint64_t session);
  // All that counts against its limits: its extents and grants, what accounts.h says, and what is retired and it alone
  // leases.
  Use charged_to(std::uint64_t session) const;
  // Makes at least `cells` lease cells usable, at most kLeasesLimit, in the session and its heirs; returns how many
  // are. Throws QuotaError, OutOfMemoryError.
  std::uint32_t grow_leases(std::uint64_t session, std::uint32_t cells);
  // What a reconnecting client believes is its own: the rest of what the catalog says is freed (extents: nobody maps
  // them any more). Throws RuntimeError, having freed nothing, where a listed extent is not this session's.
  void reconcile(std::uint64_t session, std::span<const std::uint32_t> extents, std::span<const EntryId> spares);

  // ---- spares
  // Gives the session up to `count` more spare entries, on record; fewer where it has kMaxSpares.
  static constexpr std::uint32_t kMaxSpares = 256;
  std::vector<EntryId> grant_spares(std::uint64_t session, std::uint32_t count);
  // One; kNoEntry where it has as many.
  EntryId grant_spare(std::uint64_t session);

  // ---- memory
  // Throws InvalidArgumentError (0 bytes), QuotaError, OutOfMemoryError. Warm pages are trimmed, retired entries
  // reclaimed and free extents of living sessions taken before it gives up.
  // kPressing: it was tried before, and there was less memory than seemed; all warm pages are to be punched first.
  enum class Need { kUsual, kPressing };
  Reservation begin_grant(std::uint64_t session, std::uint64_t bytes, Need need = Need::kUsual);
  // The worker prepared it: records the extent, its state word kUsed. Throws (the reservation is undone) NotFoundError
  // where the session is gone by now, OutOfMemoryError where no record or state word is to be had.
  Granted finish_grant(const Reservation& reservation);
  // The worker could not: undoes the reservation; returns the error to reply. `error`: what prepare() returned.
  OutOfMemoryError abort_grant(const Reservation& reservation, int error);
  // Extents that the session no longer maps; of each, where `keep` is not empty, only what lies beyond its first so
  // many bytes (0: all of it). Throws InvalidArgumentError, having done nothing, where one is not its own or cannot be
  // cut there.
  void give_back(std::uint64_t session, std::span<const std::uint32_t> extents,
                 std::span<const std::uint64_t> keep = {});

  // Ranges that arena().punch should free, at most about `limit` bytes (one range may be cut); they are nobody's until
  // punched() is called with the same ranges. Empty: nothing to do.
  std::vector<Range> take_punch_work(std::uint64_t limit = 256ULL << 20);
  void punched(std::span<const Range> ranges);

  // ---- pages that have memory ahead of demand: prepared ones, and those that were given back
  // The next pages, at most `limit` bytes, that arena().reserve_zeroed should prepare so that options().prepared are
  // there in one piece; they are nobody's until prepared() is called. Empty: nothing to do, or a piece is under way.
  Range take_prepare_work(std::uint64_t limit);
  // `error`: what reserve_zeroed returned. A grant may have had the pages punched meanwhile.
  void prepared(const Range& range, int error);
  // Has take_punch_work hand out every page that is nobody's now, unless a grant comes first.
  void cool() noexcept;
  std::uint64_t warm_bytes() const noexcept;
  std::uint64_t grants() const noexcept;  // so far: goes up when one is begun, and when it is finished

  // ---- names
  // Mutations are idempotent by (session, sequence), sequence > 0: a repeated one gives its first result and has no
  // effect. The entry is one of the session's spares. Returns the generation; its live bit is clear if anonymous.
  // Throws InvalidArgumentError, ExistsError, QuotaError, OutOfMemoryError.
  std::uint64_t publish(std::uint64_t session, std::uint64_t sequence, const Publication& publication);
  // Throws NotFoundError (no such name) or ReplacedError (another generation is there).
  void remove(std::uint64_t session, std::uint64_t sequence, std::string_view name, std::uint64_t generation);

  // Keeps an entry for a session that is about to lease it: what a name leads to now, or what a handle denotes, live
  // or not. For kPinSeconds at most. Throws NotFoundError, QuotaError (kMaxPins of one session),
  // OutOfMemoryError (too many pins).
  static constexpr int kPinSeconds = 10;
  static constexpr std::uint64_t kMaxPins = 16384;
  Pinned pin_name(std::uint64_t session, std::string_view name);
  Pinned pin_entry(std::uint64_t session, EntryId entry, std::uint64_t generation);
  void unpin(std::uint64_t session, EntryId entry, std::uint64_t generation);
  // Keeps an entry that is sent from one process to another: until receive() names the token, or for kSentSeconds,
  // whoever dies meanwhile. A repeated token has no effect. Counts against the sender. Throws InvalidArgumentError
  // (token 0), NotFoundError, OutOfMemoryError.
  static constexpr int kSentSeconds = 60;
  void send(EntryId entry, std::uint64_t generation, std::uint64_t token, std::uint64_t sender);
  // As pin_entry(); what was sent with this token has then arrived. A token that is not on its way (any more) does not
  // matter, where the entry is still there.
  Pinned receive(std::uint64_t session, EntryId entry, std::uint64_t generation, std::uint64_t token);
  // Sessions that lease the entry. Throws NotFoundError where the entry is of another generation by now.
  std::uint64_t holders(EntryId entry, std::uint64_t generation) const;

  // ---- reclaim
  // One pass over all retired entries: frees those that neither a lease nor a pin names. Returns how many it freed.
  std::size_t reclaim();
  // A pass if one is due: something was retired since the last one, or a session rang. To be called after the items of
  // a message were handled.
  void reclaim_if_due();
  // Whether this session's ring word is set.
  bool rang(std::uint64_t session) const;
  // Entries retired or anonymous that are not freed yet.
  std::size_t retired_entries() const noexcept;
  // CLOCK_BOOTTIME nanoseconds when the next pin runs out; nullopt: no pin. A pass is due then.
  std::optional<std::uint64_t> next_pin_deadline() const;

  Statistics statistics() const;

  // ---- the orderly end
  // Closes the root and wakes all waiters: readers reconnect to whoever is there next.
  void close_root();
  // Frees the pages that no lease and no living session's extent needs, and unlinks every segment. After close_root,
  // and the last call.
  void unlink_all();

  struct State;

 private:
  explicit Store(std::unique_ptr<State> state);
  void punch_unneeded();

  std::unique_ptr<State> state_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_STORE_H_
