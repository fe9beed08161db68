// A store on real shared memory under an instance name of this test alone, and what clients do to it, in one process:
// they hold session segments, write blocks, take leases. Whatever is left in /dev/shm is removed at the end.

#ifndef TENSORBROKER_TESTS_BROKER_STORE_FIXTURE_H_
#define TENSORBROKER_TESTS_BROKER_STORE_FIXTURE_H_

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "broker/store.h"

namespace tensorbroker::broker {

inline constexpr std::uint64_t kMiB = 1 << 20;

class StoreTest : public testing::Test {
 protected:
  StoreTest();
  ~StoreTest() override;

  // A store of this capacity, in place of the one there is.
  void create(std::uint64_t capacity = 64 * kMiB);
  void create(CatalogOptions options);
  // The broker was killed: its memory is gone, all segments stay. Sessions in `dead` have lost their clients.
  void kill_broker();
  bool adopt(const std::set<std::uint64_t>& dead = {});

  std::uint64_t connect() { return store->add_session(1000, 42); }
  // An extent, its pages prepared as the worker does.
  Granted grant(std::uint64_t session, std::uint64_t bytes);
  // What the store wants punched, as the worker does.
  void do_punch_work();
  // Bytes of memory that the arena really has.
  std::uint64_t resident() const;
  EntryId spare(std::uint64_t session);
  // Publishes `elements` bytes, all of value `fill`, at `offset`. The sequence number is the session's next.
  std::uint64_t publish(std::uint64_t session, std::string_view name, std::uint64_t offset, std::uint64_t elements,
                        int fill = 1, bool overwrite = true);
  void remove(std::uint64_t session, std::string_view name);

  // Looks a name up as a client does and leases its entry in `cell`; kNoEntry where it is missing.
  EntryId get(std::uint64_t session, std::string_view name, std::uint32_t cell);
  void let_go(std::uint64_t session, std::uint32_t cell);
  // Whether the block of a published entry has this value in all its bytes.
  bool holds(EntryId entry, std::uint64_t elements, int fill);
  std::uint64_t generation(EntryId entry) { return store->catalog().entry(entry).generation.load(); }

  std::vector<std::string> segments() const;
  std::byte* arena() { return arena_.data(); }

  InstanceName name_;
  std::optional<Store> store;
  std::uint64_t next_sequence = 1;

 private:
  void map_arena();

  Segment arena_;
};

// The header of a tensor of `elements` bytes.
std::vector<std::byte> bytes_header(std::uint64_t elements);

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_TESTS_BROKER_STORE_FIXTURE_H_
