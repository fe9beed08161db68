// The pages of the arena that are nobody's: which are free, and which of those have memory behind them.
//
// A free page is cold (no memory), warm (memory that the next grant finds in place), or unknown (it may have memory:
// after a crash, or after a client wrote where pages had been taken from it); unknown ones are punched before they are
// used. A range that was handed out (take(), take_cold(), trim(), take_punch_work()) is in the pool no more until it is
// given back.
// Not thread safe. Offsets and lengths are multiples of the page size; arithmetic only, no system call.

#ifndef TENSORBROKER_BROKER_PAGE_POOL_H_
#define TENSORBROKER_BROKER_PAGE_POOL_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/range_set.h"

namespace tensorbroker::broker {

enum class Warmth { kCold, kWarm, kUnknown };

class PagePool {
 public:
  // A range taken, and the parts of it that have to be punched first, and given memory then.
  struct Take {
    Range range;
    std::vector<Range> punch;
    std::vector<Range> reserve;
  };

  // Adds pages. REQUIRES: none of them is in the pool.
  void give(const Range& range, Warmth warmth);
  // Takes `bytes` in one piece: the best fit among warm pages, else among all; nullopt where there is no such run.
  std::optional<Take> take(std::uint64_t bytes);
  // Undoes take(): nothing was punched or given memory.
  void untake(const Take& take);
  // Takes out the pages of this very range that are in the pool, as adoption does for what is in use.
  void exclude(const Range& range);

  // Takes up to `bytes` of cold pages in one piece, to be given back as warm: the first ones of the longest free run,
  // so that what is prepared piece by piece is one piece again. Empty where that run has none.
  Range take_cold(std::uint64_t bytes);
  // Takes up to `bytes` of warm pages, from the highest offset down, to be punched and given back as cold.
  std::vector<Range> trim(std::uint64_t bytes);
  // Takes unknown pages, then the warm ones beyond `warm_bound`, up to `limit` bytes in all, to be punched.
  std::vector<Range> take_punch_work(std::uint64_t warm_bound, std::uint64_t limit);

  std::uint64_t free_bytes() const noexcept { return free_.bytes(); }
  std::uint64_t warm_bytes() const noexcept { return warm_.bytes(); }
  std::uint64_t longest_warm() const { return warm_.longest().bytes; }
  std::uint64_t unknown_bytes() const noexcept { return unknown_.bytes(); }

 private:
  Range carve_last(RangeSet& from, std::uint64_t limit);

  RangeSet free_;  // all of them; warm_ and unknown_ are disjoint parts of it
  RangeSet warm_;
  RangeSet unknown_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PAGE_POOL_H_
