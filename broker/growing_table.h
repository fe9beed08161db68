// One table of a segment whose address space is all there and whose pages are reserved as it grows.
//
// Not thread safe. Invariant: the first committed() records have their pages, so that touching them never faults.

#ifndef TENSORBROKER_BROKER_GROWING_TABLE_H_
#define TENSORBROKER_BROKER_GROWING_TABLE_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "broker/segment_file.h"
#include "proto/limits.h"
#include "tensorbroker/error.h"

namespace tensorbroker::broker {

class GrowingTable {
 public:
  // `what`: the records' name, in the plural, for errors. `step`: records that are reserved together.
  GrowingTable(std::string what, std::uint64_t offset, std::uint64_t record_bytes, std::uint64_t limit,
               std::uint64_t step)
      : what_(std::move(what)), offset_(offset), record_bytes_(record_bytes), limit_(limit), step_(step) {}

  std::uint64_t committed() const noexcept { return committed_; }
  std::uint64_t limit() const noexcept { return limit_; }

  // Makes at least `records` usable. Throws OutOfMemoryError, nothing having changed, where the table or the file
  // system is full.
  void ensure(const SegmentFile& file, std::uint64_t records) {
    if (records <= committed_) return;
    if (records > limit_) {
      throw OutOfMemoryError("the table of " + what_ + " in " + file.name() + " is full: it holds " +
                             std::to_string(limit_) + "; raise --max-tensors or --max-sessions");
    }
    const std::uint64_t next = std::min(limit_, round_up(records, step_));
    const std::uint64_t from = committed_ * record_bytes_ / kPageSize * kPageSize;
    const std::uint64_t to = round_up_to_page(next * record_bytes_);
    file.reserve({offset_ + from, to - from});
    committed_ = next;
  }

 private:
  std::string what_;
  std::uint64_t offset_;
  std::uint64_t record_bytes_;
  std::uint64_t limit_;
  std::uint64_t step_;
  std::uint64_t committed_ = 0;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_GROWING_TABLE_H_
