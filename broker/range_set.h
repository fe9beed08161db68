// A set of bytes kept as disjoint ranges, neighbours joined, with the smallest range that is large enough found at
// once.
//
// Not thread safe. Invariant: ranges neither overlap nor touch; by_size_ holds exactly the ranges of by_offset_.

#ifndef TENSORBROKER_BROKER_RANGE_SET_H_
#define TENSORBROKER_BROKER_RANGE_SET_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "broker/range.h"

namespace tensorbroker::broker {

class RangeSet {
 public:
  // Adds a range; bytes that are in the set already stay in it.
  void insert(Range range);
  // Takes out what the set has of a range, and returns it, ascending.
  std::vector<Range> erase(const Range& range);

  // The smallest range of at least `bytes`, at the lowest offset among equals.
  std::optional<Range> best_fit(std::uint64_t bytes) const;
  // The range that ends at `end`, or an empty one.
  Range ending_at(std::uint64_t end) const;
  // The range with the highest offset. REQUIRES: not empty.
  Range last() const;
  // The largest range, at the highest offset among equals; an empty one where there is none.
  Range longest() const;

  bool empty() const noexcept { return by_offset_.empty(); }
  std::uint64_t bytes() const noexcept { return bytes_; }
  std::vector<Range> ranges() const;

 private:
  using ByOffset = std::map<std::uint64_t, std::uint64_t>;  // offset -> bytes

  void add(const Range& range);
  ByOffset::iterator drop(ByOffset::iterator at);

  ByOffset by_offset_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_size_;  // bytes, offset
  std::uint64_t bytes_ = 0;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_RANGE_SET_H_
