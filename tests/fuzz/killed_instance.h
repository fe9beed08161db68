// What a killed broker left in /dev/shm, made by the product once and restored for every input: a catalog with tensors,
// bundles, tombstones, pins and extents, an arena, and the segments of two sessions and an heir. /dev/shm is that of
// the Kernel of simulation/, and the catalog's tables are made short: what is read again and again should not be empty.

#ifndef TENSORBROKER_TESTS_FUZZ_KILLED_INSTANCE_H_
#define TENSORBROKER_TESTS_FUZZ_KILLED_INSTANCE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "broker/store.h"
#include "tests/fuzz/small_kernel.h"

namespace tensorbroker::fuzz {

class KilledInstance {
 public:
  KilledInstance();
  KilledInstance(const KilledInstance&) = delete;
  KilledInstance& operator=(const KilledInstance&) = delete;

  // All as the broker left it.
  void restore();

  const InstanceName& name() const { return name_; }
  const std::vector<std::uint64_t>& sessions() const { return sessions_; }

  // A run of words that a successor reads.
  struct Table {
    std::uint64_t* words = nullptr;
    std::size_t count = 0;
  };
  const std::vector<Table>& tables() const { return tables_; }
  // Whether the word says how many of a session's leases have memory.
  bool is_length_of_leases(const std::uint64_t* word) const;

 private:
  struct Kept {
    std::byte* at = nullptr;
    std::vector<std::byte> bytes;
  };

  void make();
  void shorten_tables();
  void shorten_index(const Catalog& catalog);
  std::byte* map(const std::string& segment);
  void map_catalog();
  void map_session(std::uint64_t session);
  void add_table(std::byte* begin, std::size_t bytes, std::size_t most_words = 1 << 20);

  SmallKernel kernel_;
  InstanceName name_;
  std::uint64_t catalog_id_ = 0;
  std::byte* base_ = nullptr;  // of the catalog
  std::vector<std::uint64_t> sessions_;
  std::vector<std::string> segments_;  // of which each has another name, which nobody removes
  std::vector<Kept> kept_;
  std::vector<Table> tables_;
  std::vector<const std::uint64_t*> lease_lengths_;
};

}  // namespace tensorbroker::fuzz

#endif  // TENSORBROKER_TESTS_FUZZ_KILLED_INSTANCE_H_
