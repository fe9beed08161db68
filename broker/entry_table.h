// The entries that are free, and the growth of their table.
//
// Not thread safe. An entry is in the list exactly if its phase is kFree and its page is reserved.

#ifndef TENSORBROKER_BROKER_ENTRY_TABLE_H_
#define TENSORBROKER_BROKER_ENTRY_TABLE_H_

#include <deque>

#include "broker/growing_table.h"
#include "proto/catalog.h"

namespace tensorbroker::broker {

class EntryTable {
 public:
  explicit EntryTable(const Catalog& catalog);

  // Reserves the first entries of a new catalog.
  void start(const Catalog& catalog, const SegmentFile& file);
  // Takes over the committed length; the caller adds the free ones by release().
  void adopt(const Catalog& catalog, const SegmentFile& file);

  std::uint64_t committed() const noexcept { return table_.committed(); }

  // Makes a free entry a spare of `owner`. Throws OutOfMemoryError, nothing having changed.
  EntryId take_spare(const Catalog& catalog, const SegmentFile& file, std::uint64_t owner);
  // Makes an entry free.
  void release(const Catalog& catalog, EntryId entry);

 private:
  void grow(const Catalog& catalog, const SegmentFile& file, std::uint64_t entries);

  GrowingTable table_;
  std::deque<EntryId> free_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_ENTRY_TABLE_H_
