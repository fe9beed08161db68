// The beginning, the orderly end and the adoption of an instance, killed after every store.

#include <iostream>

#include "tests/crash/store_crash.h"

namespace tensorbroker::broker {
namespace {

class EndsCrash : public StoreCrash {
 protected:
  // Tensors that are held, deleted and held, deleted; a client that died with leases, a pin and an extent of its own.
  void fill() {
    for (const char* name : {"a", "b", "c", "d"}) put(name, *name);
    put("", 5);
    reader->hold("b");
    reader->hold("c");
    remove("c");
    const std::uint64_t lost = connect();
    const Granted its = grant(lost, kMiB);
    StoreTest::publish(lost, "lost", its.range.offset, kBlock, 'l');
    get(lost, "a", 0);
    store->pin_name(lost, "d");
    remove("d");
    dead = {lost};
  }

  Scenario replacement() {
    return {.prepare =
                [this] {
                  fill();
                  request_ = draft("b", 1);
                },
            .operate =
                [this] {
                  publish(request_);
                  store->reclaim_if_due();
                },
            .repeat = [this] { put(request_); },
            .before = {{"a", 'a'}, {"b", 'b'}, {"lost", 'l'}},
            .after = {{"a", 'a'}, {"b", 1}, {"lost", 'l'}}};
  }

  Request request_;
  std::uint64_t generation_ = 0;
};

TEST_F(EndsCrash, Beginning) {
  const auto work = [this] { create(options); };
  ASSERT_EQ(crash::in_trapped_process(prefix(), tally, 0, work), crash::Outcome::kWhole);
  const std::vector<std::uint64_t> last = crash::stores_to_die_after(tally);
  std::size_t begun = 0;
  for (const std::uint64_t n : last) {
    SCOPED_TRACE("killed after store " + std::to_string(n));
    reader.reset();
    store.reset();
    for (const std::string& segment : segments()) unlink_segment(segment);
    ASSERT_EQ(crash::in_trapped_process(prefix(), tally, n, work), crash::Outcome::kKilled);
    if (adopt()) {
      ++begun;
    } else {
      EXPECT_TRUE(segments().empty()) << "what was not finished is removed";
      create(options);
    }
    reading = connect();
    reader.emplace(name_, *store, reading);
    add_owner();
    write_and_free_all({});
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_LE(begun, 1u) << "only the last store makes it an instance";
  std::cout << "[ killed   ] after each of " << last.size() << " of " << tally.stores() << " stores\n";
}

TEST_F(EndsCrash, OrderlyEnd) {
  const auto work = [this] {
    store->close_root();
    store->unlink_all();
  };
  begin([this] { fill(); });
  ASSERT_EQ(crash::in_trapped_process(prefix(), tally, 0, work), crash::Outcome::kWhole);
  const std::uint64_t stores = tally.stores();
  const std::vector<std::uint64_t> last = crash::stores_to_die_after(tally);
  for (const std::uint64_t n : last) {
    SCOPED_TRACE("killed after store " + std::to_string(n) + " of " + std::to_string(stores));
    begin([this] { fill(); });
    ASSERT_EQ(crash::in_trapped_process(prefix(), tally, n, work), crash::Outcome::kKilled);
    EXPECT_TRUE(reader->is_closed()) << "readers know before anything else is done";
    reader->check_held();
    kill_broker();
    EXPECT_FALSE(adopt(dead));
    EXPECT_TRUE(segments().empty()) << "the successor finishes the end";
    reader->check_held();
    if (testing::Test::HasFailure()) return;
  }
  std::cout << "[ killed   ] after each of " << last.size() << " of " << stores << " stores\n";
}

TEST_F(EndsCrash, Replacement) { kill_everywhere(replacement()); }

TEST_F(EndsCrash, AdoptionOfWhatWasLeftInTheMiddle) { kill_successor_everywhere(replacement(), 15); }

// What it holds was freed by the broker that was killed, or was just about to be.
TEST_F(EndsCrash, AdoptionWithAReaderThatComesTooLate) {
  Scenario s{.prepare =
                 [this] {
                   fill();
                   request_ = {.sequence = next_sequence++};
                   generation_ = generation(reader->entry_of("a"));
                 },
             .operate =
                 [this] {
                   store->remove(owner, request_.sequence, "a", generation_);
                   store->remove_session(*dead.begin());  // the last one that leased it
                   store->reclaim_if_due();
                 },
             .repeat = [this] { store->remove(owner, request_.sequence, "a", generation_); },
             .before = {{"a", 'a'}, {"b", 'b'}, {"lost", 'l'}},
             .after = {{"b", 'b'}, {"lost", 'l'}},
             .late = "a"};
  kill_successor_everywhere(s, 15);
}

}  // namespace
}  // namespace tensorbroker::broker
