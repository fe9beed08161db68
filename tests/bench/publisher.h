// Publications whose instant is known: the broker is stopped (SIGSTOP), and this process does in its place what a
// broker does for a version of one name, with the broker's own functions.
//
// Two entries take turns. As in the broker's Store the entry and its header are filled first; then come intent, entry
// and index cell, the name's futex word, the event, the catalog's word, and the calls of futex(2) where a session
// counts a waiter. What is left out is the broker's own bookkeeping, which comes after the name's word and before the
// event. A successor finds a catalog that is whole.

#ifndef TENSORBROKER_TESTS_BENCH_PUBLISHER_H_
#define TENSORBROKER_TESTS_BENCH_PUBLISHER_H_

#include <sys/types.h>
#include <tensorbroker/tensorbroker.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "broker/publication.h"
#include "proto/catalog.h"
#include "proto/session.h"
#include "tests/bench/instance.h"

namespace tensorbroker::bench {

class Publisher {
 public:
  // Publishes twice through the broker, which is stopped then: every process that is to see more has connected by now.
  Publisher(Instance& instance, const std::string& name);
  ~Publisher();  // kills the broker
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // The next version. Returns the time (CLOCK_MONOTONIC, in nanoseconds) just before the stores to entry and cell, the
  // last of which is the one that makes it visible.
  std::int64_t publish();

 private:
  struct Slot {
    EntryId entry = kNoEntry;
    broker::EntryFields fields;
    std::vector<std::byte> header;
  };

  Slot put(Instance& instance);
  broker::Mutation prepare(const Slot& next, const Slot& replaced);
  void wake() const;

  const std::string name_;
  const std::uint64_t hash_;
  const pid_t broker_;
  Catalog catalog_;
  std::uint64_t cell_ = 0;
  std::vector<Tensor> held_;  // so that the broker's successor takes neither for free
  std::array<Slot, 2> slots_;
  bool second_ = true;  // the newer one
  std::vector<SessionSegment> sessions_;
  SessionRecord window_{};  // of this process: the broker's keeps what the client asked
};

}  // namespace tensorbroker::bench

#endif  // TENSORBROKER_TESTS_BENCH_PUBLISHER_H_
