// What a Store holds: the tables of the catalog with the memory of where their free records are, the arena's pages, the
// sessions. The parts of Store share it; nobody else sees it.
//
// Not thread safe. Accounting: `used` counts the bytes of extents (unless taken), of grants under way, and of the pages
// of blocks that lie in no extent. A session's `charged` is what `used` counts of its extents and grants; `accounts`
// has the rest of what it pays for.

#ifndef TENSORBROKER_BROKER_STATE_H_
#define TENSORBROKER_BROKER_STATE_H_

#include <boost/container/flat_set.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/accounts.h"
#include "broker/block_map.h"
#include "broker/entry_table.h"
#include "broker/extent_table.h"
#include "broker/header_heap.h"
#include "broker/name_index.h"
#include "broker/page_pool.h"
#include "broker/pin_table.h"
#include "broker/publication.h"
#include "broker/reclaim.h"
#include "broker/store.h"

namespace tensorbroker::broker {

struct Session {
  std::uint64_t id = 0;
  std::uint32_t record = 0;  // slot of its record in the catalog
  uid_t uid = 0;
  pid_t pid = 0;
  std::uint64_t parent = 0;
  std::uint64_t process = 0;
  std::uint64_t origin = 0;
  SessionSegment segment;
  boost::container::flat_set<EntryId> spares;  // at most kMaxSpares
  std::set<std::uint32_t> extents;
  std::uint64_t charged = 0;
  std::uint32_t leases_committed = kInitialLeases;
  std::uint64_t returns_head = 0;  // ours to count: the client could change the one in its segment
  // State words of extents: those below slots_used that no extent has, and how many have their pages.
  std::vector<std::uint32_t> free_slots;
  std::uint32_t slots_used = 0;
  std::uint32_t slots_committed = kPageSize / sizeof(Word);

  LeaseTable lease_table() const { return {&segment.control(), &segment.lease(0), leases_committed}; }
};

// A grant under way.
struct PendingGrant {
  std::uint64_t session = 0;
  PagePool::Take take;
  std::vector<Range> trimmed;  // of the warm pages: cold when the worker is done
};

struct Store::State {
  State(InstanceName instance_name, std::uint64_t id, Catalog mapped, ArenaFile arena_file, StoreHooks store_hooks);

  InstanceName name;
  std::uint64_t catalog_id;
  Catalog catalog;
  SegmentFile file;  // of the catalog
  ArenaFile arena;
  StoreHooks hooks;
  CatalogOptions options;
  bool closed = false;

  GrowingTable records;  // of sessions
  std::vector<std::uint32_t> free_records;
  std::map<std::uint64_t, Session> sessions;  // by id: parents before their heirs
  Accounts accounts;

  EntryTable entries;
  HeaderHeap heap;
  NameIndex index;
  PinTable pins;
  ExtentTable extents;
  BlockMap blocks;
  PagePool pool;
  std::map<std::uint64_t, PendingGrant> pending;  // by offset
  std::set<std::uint64_t> punching;               // offsets of ranges of the pool that were handed out to be punched
  std::vector<Range> taken_to_punch;              // of extents that were taken
  Range preparing;                                // handed out to be prepared; empty: none
  bool cooling = false;                           // every warm page of the pool is to be punched
  std::uint64_t grants_begun = 0;

  std::vector<EntryId> retired;  // anonymous ones too
  bool reclaim_due = false;
  std::uint64_t used = 0;
  Statistics counted;  // live, retired, tensors, bundles, and what is counted since the start

  // ---- state.cc
  void check_open() const;             // throws ClosedError after close_root()
  Session& session(std::uint64_t id);  // throws NotFoundError
  Range block_of(EntryId id) const;
  void count_name(EntryId id, bool appeared);
  void reserve_index(unsigned region, std::uint64_t begin, std::uint64_t cells) const;

  // ---- store_sessions.cc
  void write_record(const Session& session);
  std::uint32_t take_slot(Session& session);  // throws OutOfMemoryError
  void forget(std::uint64_t id);              // unmaps and unlinks

  // ---- store_memory.cc
  std::vector<Range> make_room(const PagePool::Take& take, std::uint64_t requester, Need need);
  std::uint64_t shortage(const PagePool::Take& take) const;
  bool take_free_extents(std::uint64_t bytes, std::uint64_t requester);
  std::vector<std::uint32_t> takeable(std::uint64_t requester) const;
  std::optional<PendingGrant> end_pending(const Range& range);
  void charge_block(EntryId id, const Range& block);
  void release_extent(std::uint32_t id, Warmth warmth);
  void shorten_extent(std::uint32_t id, std::uint64_t bytes);
  void check_given_back(const Session& session, std::uint32_t id, std::uint64_t keep) const;
  OutOfMemoryError memory_error(std::uint64_t bytes, int error) const;

  // ---- store_prepared.cc
  std::uint64_t warm_bound() const;
  std::vector<Range> give_up_warm(std::uint64_t bytes);

  // ---- store_quota.cc: those that check throw QuotaError
  Use use_of_records(EntryId id) const;
  Use use_of_leases(const Session& session) const;
  std::map<std::uint64_t, Use> held_for_others() const;
  Use own_use_of(const Session& session) const;
  Use own_use_of_user(uid_t uid) const;
  Use at_most(Use use) const;
  Use use_of(const Session& session) const;
  Use use_of_user(uid_t uid) const;
  void check_bytes(const Session& session, std::uint64_t bytes, std::uint64_t slack) const;
  void check_quota(const Session& session, std::uint64_t bytes) const;
  void check_tensors(const Session& session, EntryId replaced) const;
  void check_publication_quota(const Session& session, EntryId replaced, std::uint64_t header_bytes);
  void check_sessions(uid_t uid) const;
  void check_pins(std::uint64_t session) const;
  void check_extents(const Session& session) const;

  // ---- store_names.cc
  std::optional<std::uint64_t> repeated(const Session& session, std::uint64_t sequence) const;
  Range check_block(const Session& session, const Publication& publication) const;
  void check_publication(const Session& session, const Publication& publication) const;
  NameIndex::Place find(std::uint64_t hash, std::string_view name) const;
  NameIndex::Place place_for(std::uint64_t hash, const Publication& publication);
  bool advance_index(const NameIndex::Place& place);
  HeapRef store_header(const Publication& publication, std::uint64_t generation);
  void apply(Session& session, const Mutation& mutation, std::optional<std::uint64_t> hash);
  void tell_of(EntryId published, std::uint64_t hash) const;
  void wake(std::uint64_t hash) const;
  void wake_all() const;

  // ---- store_reclaim.cc
  void retire(EntryId id);
  std::vector<bool> held_entries();
  void expire_pins();
  std::size_t reclaim();
  bool free_entry(EntryId id);
  std::uint64_t check_used(EntryId id, std::uint64_t generation) const;
  bool return_block(Session& owner, const Range& block, std::uint64_t generation);
  void empty_pages(const Range& block);

  // ---- adopt_state.cc
  void adopt(const IsAlive& is_alive);
  void check_root() const;
  void finish_intent();
  std::vector<std::uint64_t> adopt_sessions(const IsAlive& is_alive);
  bool adopt_session(const BasicSessionRecord<std::uint64_t>& record, std::uint32_t slot);
  void adopt_extents();
  bool keep_extent(std::uint32_t id, Extent& extent);
  void adopt_entries();
  bool is_sound(const Range& block) const;
  bool has_sound_header(EntryId id) const;
  bool adopt_name(EntryId id);
  bool was_returned(const Range& block, std::uint64_t generation) const;
  void adopt_used_entry(EntryId id, bool named);
  std::vector<bool> adopt_index();
  void revoke(const std::vector<std::uint64_t>& dead);
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_STATE_H_
