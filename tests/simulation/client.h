// A client process: what it holds, and what it does to its segment as the client library does. Its blocks are placed by
// the library's own allocator.

#ifndef TENSORBROKER_TESTS_SIMULATION_CLIENT_H_
#define TENSORBROKER_TESTS_SIMULATION_CLIENT_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/block_allocator.h"
#include "proto/session.h"
#include "tests/simulation/broker.h"
#include "tests/simulation/model.h"
#include "tests/simulation/request.h"

namespace tensorbroker::simulation {

// What every client maps of an instance.
struct Instance {
  InstanceName name;
  Catalog catalog;
  Segment arena;
};

// The bytes of a block, made of one number: written, and looked at, at its ends and once a page.
void fill(std::byte* data, std::uint64_t bytes, std::uint64_t seed);
bool is_filled(const std::byte* data, std::uint64_t bytes, std::uint64_t seed);

// A tensor that this process holds.
struct Hold {
  std::uint32_t cell = 0;
  EntryId entry = kNoEntry;
  std::uint64_t generation = 0;  // live bit clear
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t seed = 0;
};

// A tensor that this process is about to publish: its block, and the spare that it leases for it.
struct Draft {
  Block block;
  std::uint64_t bytes = 0;
  bool is_mutable = false;
  std::uint64_t seed = 0;
  EntryId spare = kNoEntry;
  std::uint32_t cell = 0;
  std::uint64_t floor = 0;  // the catalog's next generation when it was sent
};

class Client {
 public:
  Client(Instance& instance, Model& model, std::uint64_t process);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // ---- life
  // Maps and locks the session that it was given; without the lock if it is that kind of client.
  void attach(std::uint64_t session, bool with_lock);
  void map_heir(std::uint64_t heir);
  // A child that has taken over this process's heir; null where there is none.
  std::unique_ptr<Client> fork(std::uint64_t process);
  // Begins afresh, as if its extents and spares were not its own.
  void forget();

  // ---- leases
  void get(const std::string& name);
  void lease(EntryId entry);
  void release(std::size_t hold);
  void check(const Hold& hold) const;
  void take_returns() { allocator_->collect_returns(); }

  // ---- drafts
  // Makes a draft of the wanted size; false where it lacks a spare or an extent, which are to be asked for then.
  bool make_draft(std::uint64_t bytes, bool is_mutable, std::uint64_t seed);
  void discard_draft();
  void check_drafts() const;
  void give_up(const Draft& draft);
  Request publication_of(const Draft& draft) const;

  // What an answer tells it. `draft`: what was published.
  void learn(const Request& request, const schema::ReplyItem& reply, std::optional<Draft> draft);
  // Its connection is gone: what was sent and not answered is to be asked again.
  void not_answered(const Request& request, const std::optional<Draft>& draft);
  Request hello() const;

  const std::uint64_t process;
  std::uint64_t session = 0;
  std::shared_ptr<Connection> connection;
  bool is_welcomed = false;  // as a new session, on this connection
  bool is_attached = false;  // on this connection
  std::uint64_t next_sequence = 1;
  std::uint64_t heir = 0;
  std::uint64_t used_heir = 0;  // a child took it over: the broker is to be told
  std::vector<EntryId> spares;
  std::vector<Hold> holds;
  std::optional<Draft> draft;
  std::uint64_t wanted = 0;  // bytes of the extent that the draft lacks
  bool awaits_grant = false;
  std::map<std::uint32_t, std::uint64_t> to_give_back;  // extents, and how much of each is kept
  std::vector<std::pair<EntryId, std::uint64_t>> to_unpin;
  std::set<EntryId> pinned;  // or may be
  std::deque<Request> history;
  struct Unanswered {
    Request request;
    std::optional<Draft> draft;
  };
  std::deque<Unanswered> unanswered;

 private:
  std::uint32_t take_cell();
  void free_cell(std::uint32_t cell);
  OwnExtent grant(std::uint64_t bytes);
  void make_allocator();
  void published(const Draft& draft, std::uint64_t generation);

  Instance& instance_;
  Model& model_;
  SessionSegment segment_;
  SessionSegment heir_segment_;
  std::unique_ptr<BlockAllocator> allocator_;
  std::vector<OwnExtent> granted_;  // not placed yet
  std::vector<std::uint32_t> free_cells_;
  std::uint32_t cells_ = 0;
};

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_CLIENT_H_
