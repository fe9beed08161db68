// The extents: runs of the arena's pages that sessions hold, on record in the catalog.
//
// Not thread safe. Invariants: extents do not overlap; each is on record before add() returns, and not after remove().

#ifndef TENSORBROKER_BROKER_EXTENT_TABLE_H_
#define TENSORBROKER_BROKER_EXTENT_TABLE_H_

#include <cstdint>
#include <map>
#include <vector>

#include "broker/growing_table.h"
#include "broker/range.h"
#include "proto/catalog.h"

namespace tensorbroker::broker {

struct Extent {
  std::uint64_t owner = 0;  // session id
  std::uint32_t slot = 0;   // of its state word in the owner's segment
  Range range;
  bool taken = false;  // its pages were taken from the owner, which may still map it
};

class ExtentTable {
 public:
  explicit ExtentTable(const Catalog& catalog);

  // Records an extent and returns its id. Throws OutOfMemoryError, nothing having changed.
  std::uint32_t add(const Catalog& catalog, const SegmentFile& file, const Extent& extent);
  // Cuts its end off. REQUIRES: it exists, and is longer.
  void shorten(const Catalog& catalog, std::uint32_t id, std::uint64_t bytes);
  // Clears the record. REQUIRES: it exists.
  void remove(const Catalog& catalog, std::uint32_t id);

  // Takes over the records of a killed broker. Those that `keep(id, extent)` declines are cleared by
  // clear_declined(), once nothing is to be looked up in them any more.
  template <class Keep>
  void adopt(const Catalog& catalog, const SegmentFile& file, Keep&& keep) {
    const std::vector<PlainRecord> records = read_records(catalog, file);
    for (std::uint32_t id = 0; id < records.size(); ++id) {
      const PlainRecord& r = records[id];
      if (r.owner == 0) {
        free_.push_back(id);
        continue;
      }
      Extent extent{.owner = r.owner, .slot = static_cast<std::uint32_t>(r.slot), .range = {r.offset, r.bytes}};
      if (keep(id, extent)) {
        insert(id, extent);
      } else {
        declined_.push_back(id);
      }
    }
  }
  void clear_declined(const Catalog& catalog);

  std::uint64_t limit() const noexcept { return table_.limit(); }
  // nullptr where there is none.
  const Extent* find(std::uint32_t id) const;
  // The extent in which all of `range` lies; nullptr where it lies in none, or partly.
  const Extent* containing(const Range& range) const;
  // Whether any extent has a byte in common with `range`.
  bool overlaps(const Range& range) const;
  void mark_taken(std::uint32_t id) { by_id_.at(id).taken = true; }
  const std::map<std::uint32_t, Extent>& all() const noexcept { return by_id_; }

 private:
  using PlainRecord = BasicExtentRecord<std::uint64_t>;

  std::vector<PlainRecord> read_records(const Catalog& catalog, const SegmentFile& file);
  void insert(std::uint32_t id, const Extent& extent);

  GrowingTable table_;
  std::map<std::uint32_t, Extent> by_id_;
  std::map<std::uint64_t, std::uint32_t> by_offset_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> declined_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_EXTENT_TABLE_H_
