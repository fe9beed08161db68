// What the broker should hold, kept as simply as can be: maps, and rules that look at all of them each time.
//
// The model hears of each request with its answer, and says whether that answer may be. What is the broker's to choose
// (which entry, which pages, when to reclaim) the model looks up afterwards, and says whether the choice was free.

#ifndef TENSORBROKER_TESTS_SIMULATION_MODEL_H_
#define TENSORBROKER_TESTS_SIMULATION_MODEL_H_

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "broker/range.h"
#include "broker/store.h"
#include "proto/catalog.h"
#include "proto/event_ring.h"
#include "proto/schema/control_generated.h"
#include "tests/simulation/request.h"

namespace tensorbroker::simulation {

using broker::Range;

struct ModelEntry {
  std::uint64_t generation = 0;  // as it is now
  std::string name;              // empty: anonymous
  bool is_bundle = false;
  std::uint64_t publisher = 0;
  uid_t payer = 0;  // who pays for it: the publisher's user, as far as the broker knows it
  Range block;      // padded
  std::uint64_t data_bytes = 0;
  std::uint64_t record_bytes = 0;
  std::uint64_t seed = 0;  // of its contents

  bool is_live() const { return tensorbroker::is_live(generation); }
};

struct ModelExtent {
  std::uint64_t owner = 0;
  std::uint32_t slot = 0;
  Range range;
  bool is_taken = false;
};

struct ModelSession {
  uid_t uid = 0;
  std::uint64_t parent = 0;
  std::string segment;
  std::uint32_t lease_cells = kInitialLeases;
  std::map<std::uint32_t, EntryId> leases;  // by cell
  std::set<EntryId> spares;
  std::uint64_t returns = 0;  // into its ring, so far
  struct Result {
    std::uint64_t sequence = 0;
    std::uint64_t value = 0;
  };
  std::array<Result, kWindow> window{};
};

struct ModelPin {
  std::uint64_t session = 0;  // 0: on its way
  EntryId entry = kNoEntry;
  std::uint64_t generation = 0;  // live bit clear
  std::uint64_t deadline_ns = 0;
  std::uint64_t token = 0;
  friend bool operator==(const ModelPin&, const ModelPin&) = default;
  friend auto operator<=>(const ModelPin&, const ModelPin&) = default;
};

struct ModelGrant {  // under way
  std::uint64_t session = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const ModelGrant&, const ModelGrant&) = default;
};

// The errors that an answer must be one of, if there are any, and those that it may be.
class Errors {
 public:
  explicit Errors(bool scarce) {
    if (scarce) may_ = {ErrorCode::kOutOfMemory, ErrorCode::kRuntime};
  }
  void must(ErrorCode code, bool holds = true) {
    if (holds) must_.insert(code);
  }
  void may(ErrorCode code, bool holds = true) {
    if (holds) may_.insert(code);
  }
  // Whether it went well; a Violation where the answer is another than it can be.
  bool judge(const schema::ReplyItem& reply) const;

 private:
  std::set<ErrorCode> must_;
  std::set<ErrorCode> may_;
};

class Model {
 public:
  // A new instance; or a successor that has adopted everything; or the instance's end.
  void begin(broker::Store& store);
  void adopted(broker::Store& store);
  void end();

  // ---- what clients do to their segments
  void lease(std::uint64_t session, std::uint32_t cell, EntryId entry);
  void release(std::uint64_t session, std::uint32_t cell);
  void fork(std::uint64_t parent, std::uint64_t heir);

  // ---- what the broker did
  // `session` asked and got this answer. `scarce`: the kernel said during the call that something is short.
  struct Circumstances {
    bool scarce = false;
    bool alone = true;       // the message had no other item
    bool was_begun = false;  // a grant whose answer had to wait
  };
  void answered(std::uint64_t session, const Request& request, const schema::ReplyItem& reply, Circumstances how);
  void grant_begun(std::uint64_t session, std::uint64_t bytes);
  // Looks at what the broker chose to do. To be called after everything that it did.
  void observe();
  // A message was handled: what nobody holds is freed by then.
  void require_reclaimed() const;
  // Reclaims, and compares everything.
  void compare();
  // No work is under way: every page of the arena is in exactly one place.
  void require_pages_add_up() const;

  // ---- for those who choose what to do next
  const std::map<EntryId, ModelEntry>& entries() const { return entries_; }
  const std::map<std::string, EntryId>& names() const { return names_; }
  const std::map<std::uint64_t, ModelSession>& sessions() const { return sessions_; }
  const std::map<std::uint32_t, ModelExtent>& extents() const { return extents_; }
  const std::vector<ModelPin>& pins() const { return pins_; }
  std::uint64_t next_generation() const { return next_generation_; }
  bool is_held(EntryId entry) const;
  // An extent of a session that holds it, free of blocks, with its state word saying free.
  bool may_be_taken(std::uint32_t extent) const;

 private:
  using Use = broker::Use;

  // model_answers.cc
  void answered_publish(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Circumstances how);
  void answered_delete(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors);
  void answered_grant(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Circumstances how);
  bool may_be_cut(std::uint32_t extent, std::uint64_t keep);
  void answered_give_back(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors);
  void answered_pin(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors);
  void answered_unpin(std::uint64_t session, const Request& r);
  void answered_send(const Request& r, const schema::ReplyItem& reply, Errors& errors);
  void answered_holders(const Request& r, const schema::ReplyItem& reply, Errors& errors);
  void answered_spares(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors);
  void answered_grow(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors);
  void compare_answer(const schema::Statistics& reply) const;
  const ModelSession::Result* repeated(std::uint64_t session, const Request& r, Errors& errors) const;
  void check_publication(std::uint64_t session, const Request& r, Errors& errors) const;
  void check_quota(std::uint64_t session, const Request& r, Circumstances how, Errors& errors);
  void publish(std::uint64_t session, const Request& r);
  void retire(EntryId entry);
  void note_result(std::uint64_t session, std::uint64_t sequence, std::uint64_t value);
  void note_event(EventType type, std::uint64_t version, const std::string& name);
  void add_spare(std::uint64_t session, EntryId entry);
  void add_pin(const ModelPin& pin) { pins_.push_back(pin); }
  void expire_pins();
  void check_denoted(EntryId entry, std::uint64_t generation, Errors& errors) const;
  bool is_there(EntryId entry, std::uint64_t generation) const;

  // model_sessions.cc
  void answered_hello(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors);
  void answered_locked(std::uint64_t session, const Request& r, const schema::ReplyItem& reply, Errors& errors);

  // model_charges.cc
  std::map<std::uint64_t, Use> uses() const;
  std::map<std::uint64_t, Use> moved() const;
  Use use_of_user(const std::map<std::uint64_t, Use>& uses, uid_t uid) const;
  const ModelExtent* extent_of(const Range& block) const;
  bool lost_sessions() const;
  void beyond_quota(Errors& errors, bool holds) const;
  bool exceeds(std::uint64_t session, std::int64_t bytes, bool is_header) const;
  bool exceeds_tensors(std::uint64_t session, EntryId replaced) const;
  uid_t payer_of(std::uint64_t session) const;
  std::uint64_t pages_without_extent() const;
  std::uint64_t used() const;
  bool has_room_for(std::uint64_t bytes) const;
  bool overlaps_block(const Range& range) const;

  // model_observe.cc
  void observe_sessions();
  void observe_taken();
  void observe_freed();
  void observe_returns(std::set<std::pair<std::uint64_t, std::uint64_t>> freed,
                       const std::set<std::uint64_t>& of_extents);
  void add_session(std::uint64_t session);
  void remove_session(std::uint64_t session);
  void release_extent(std::uint32_t extent);
  void compare_statistics() const;
  void compare_charges() const;
  void compare_entries() const;
  void compare_names() const;
  void compare_extents() const;
  void compare_pins();
  void compare_events();
  void compare_windows() const;
  bool waits_for_ring(const ModelEntry& entry) const;

  broker::Store* store_ = nullptr;
  std::map<std::uint64_t, ModelSession> sessions_;
  std::map<EntryId, unsigned> leased_;     // by how many cells
  std::map<EntryId, ModelEntry> entries_;  // published, live or retired
  std::map<std::string, EntryId> names_;
  std::map<std::uint32_t, ModelExtent> extents_;
  std::vector<ModelPin> pins_;
  std::vector<ModelGrant> grants_;
  std::uint64_t next_generation_ = 0;
  std::uint64_t last_session_ = 0;
  std::uint64_t changes_ = 0;                             // of the catalog's word
  std::uint64_t events_ = 0;                              // so far, gaps included
  std::map<std::uint64_t, EventFields> expected_events_;  // not looked at yet, by number
};

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_MODEL_H_
