// A store whose broker is killed after every single store to shared memory in turn, and what is looked at then: what
// readers see at that moment and after adoption, what the client gets that asks again, what is left when all is freed.

#ifndef TENSORBROKER_TESTS_CRASH_STORE_CRASH_H_
#define TENSORBROKER_TESTS_CRASH_STORE_CRASH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/broker/store_fixture.h"
#include "tests/crash/every_store.h"

namespace tensorbroker::broker {

// The names that there are, and the value of all the bytes of each.
using Names = std::map<std::string, int>;

inline constexpr std::uint64_t kBlock = 128;  // bytes of each tensor of these tests

// A process that only reads, with mappings of its own: catalog and arena read-only, its session writable.
class CrashReader {
 public:
  CrashReader(const InstanceName& name, Store& store, std::uint64_t session);

  // What lookup finds; the test fails where it is torn, or its header belongs to another.
  std::optional<int> get(const std::string& name);
  Names look(const Names& names);
  bool is_closed() const { return catalog_.root().index.load() == kClosedRoot; }
  // Leases what the name leads to, and looks at it again at every check_held().
  void hold(const std::string& name);
  void check_held();
  EntryId entry_of(const std::string& name);
  // As one whose lease came too late does: it leases an entry that was unlinked meanwhile, and withdraws.
  void lease_late(EntryId entry) { store_lease(session_.lease(kLateCell), entry); }
  void withdraw();
  void let_go();

 private:
  static constexpr std::uint32_t kLookCell = 0;
  static constexpr std::uint32_t kLateCell = 1;
  static constexpr std::uint32_t kFirstHeld = 2;
  struct Held {
    EntryId entry;
    int value;
  };

  EntryId lease(const std::string& name, std::uint32_t cell);
  void release(std::uint32_t cell);
  std::optional<int> value_of(EntryId entry) const;
  // That a listing of any of its beginnings meets the name which the entry bears.
  void check_beginnings(EntryId entry, const std::string& name) const;

  Catalog catalog_;
  Segment arena_;
  SessionSegment session_;
  std::vector<Held> held_;
};

// A publication that its client may have to ask for again.
struct Request {
  std::uint64_t sequence = 0;
  EntryId entry = kNoEntry;
  std::string name{};
  std::uint64_t offset = 0;
  int value = 0;
  std::string metadata{};
};

class StoreCrash : public StoreTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  struct Scenario {
    std::function<void()> prepare{};  // what there is before
    std::function<void()> operate{};  // done in the process that is killed
    std::function<void()> repeat{};   // what clients do that were not answered; none: operate
    Names before{};
    Names after{};
    std::string late{};  // a name whose entry a reader leases too late, and lets go of at the end
  };
  // The broker is killed after every store of `operate`; a successor adopts.
  void kill_everywhere(const Scenario& scenario);
  // It is killed after some of the stores of `operate`, and its successor after every store of the adoption.
  void kill_successor_everywhere(const Scenario& scenario, std::uint64_t step);

  // ---- the one client that writes
  static std::vector<std::byte> header_of(const std::string& metadata);
  Request draft(const std::string& name, int value);
  std::uint64_t publish(const Request& request);
  // Asks for the publication, again or for the first time, and notes the answer.
  void put(const Request& request);
  void put(const std::string& name, int value) { put(draft(name, value)); }
  void remove(const std::string& name) { remove(name, next_sequence++); }
  void remove(const std::string& name, std::uint64_t sequence);
  void collect_returns();
  void add_owner();

  // ---- the parts of both, for what is no such scenario
  void begin(const std::function<void()>& prepare);
  // After adoption: writes, then frees everything and looks whether all is free.
  void write_and_free_all(const Names& names);
  std::string prefix() const { return name_.prefix(); }

  crash::Tally tally;

  std::uint64_t owner = 0;
  std::uint64_t reading = 0;  // session of the reader
  std::optional<CrashReader> reader;
  Granted extent;
  std::vector<EntryId> spares;
  std::set<std::uint64_t> dead;  // sessions whose clients are gone when a successor adopts
  CatalogOptions options{.capacity = 16 * kMiB, .max_tensors = 4096};

 private:
  bool adopt_now() { return adopt(dead); }
  void kill_at(const Scenario& scenario, std::uint64_t store_number);
  void look_after_kill(const Scenario& scenario);
  void go_on(const Scenario& scenario);
  void reconnect();
  void write_some_more();
  void check_nothing_left();

  std::map<std::uint64_t, std::uint64_t> published_;  // retired generation by offset
  std::map<std::uint64_t, std::uint64_t> early_;      // returned while their publications were not answered
  std::vector<std::uint64_t> free_blocks_;
  std::uint64_t next_block_ = 0;
  EntryId late_ = kNoEntry;
  bool seen_after_ = false;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_TESTS_CRASH_STORE_CRASH_H_
