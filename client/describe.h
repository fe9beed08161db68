// What a listing says of an entry, from what is on record of it.
//
// A describer lives as long as one call. Not thread safe.

#ifndef TENSORBROKER_CLIENT_DESCRIBE_H_
#define TENSORBROKER_CLIENT_DESCRIBE_H_

#include <tensorbroker/client.h>

#include <cstdint>
#include <string>

#include "client/storage.h"
#include "proto/catalog.h"
#include "proto/heap_record.h"

namespace tensorbroker {

// The fields and the record of one published entry. The record is the caller's copy: others may write to a segment.
struct EntryRecord {
  EntryId entry = kNoEntry;
  EntryState state{};
  std::uint64_t generation = 0;
  std::uint64_t block_bytes = 0;
  std::uint64_t created_us = 0;
  HeapRecord record{};
};

class Describer {
 public:
  explicit Describer(const Attachment& attachment);

  // Throws CorruptSegmentError where the header does not verify.
  Info operator()(const EntryRecord& entry) const;
  // Of a leased entry.
  Info operator()(const detail::Storage& leased) const;

 private:
  const Catalog& catalog_;
  const std::string handle_beginning_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_DESCRIBE_H_
