// Which idle memory of a session goes back to the broker, and when.
//
// Idle memory is warm: whoever puts a tensor there needs no grant (10 to 60 us) and no fresh page tables (0.1 to 0.25
// us a page). But it is nobody else's either. So it is kept while all that blocks do not occupy, whatever the reason,
// is at most a tenth of what they occupy, and as much as the longest block of late; beyond that, what is idle goes once
// blocks of twice its length were placed elsewhere, the longest overdue first. A writer that replaces one tensor again
// and again so keeps its pages, and a spare for readers that hold an earlier version, however large they are; time
// plays no part. What one block has given back is a few times as long as the block, lest one put pays for the gigabytes
// of a model that was deleted.
//
// Measured with 2,000 names created and deleted at random, of sizes from 64 bytes to 4 MiB spread evenly by their
// logarithm: extents have 1.10 times the bytes of the blocks, and 27% of the large blocks need a grant. It was 1.52
// and 0.3% when empty extents stayed up to half the capacity. Were the ends of extents not given back, it would be 1.15
// with as many grants, or 1.10 with a grant for 68% of the large blocks, each then in an extent hardly longer than it.
//
// Arithmetic only. Not thread safe.

#ifndef TENSORBROKER_CLIENT_IDLE_EXTENTS_H_
#define TENSORBROKER_CLIENT_IDLE_EXTENTS_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace tensorbroker {

class IdleExtents {
 public:
  static constexpr std::uint64_t kLeast = 1 << 20;
  static constexpr std::uint64_t kPart = 10;   // of what is occupied
  static constexpr std::uint64_t kFading = 8;  // part of what is placed
  static constexpr std::uint64_t kTimes = 2;   // its own length
  static constexpr std::uint64_t kPace = 4;    // times what is placed

  struct Idle {
    std::uint64_t offset = 0;  // of its extent
    std::uint64_t bytes = 0;
  };

  // A block was placed.
  void placed(std::uint64_t bytes) {
    placed_ += bytes;
    longest_ = std::max(bytes, longest_ - std::min(longest_, bytes / kFading));
  }

  // What is idle of the extent has changed; 0: nothing is.
  void set(std::uint64_t offset, std::uint64_t bytes);

  // What should go back now, where anything should.
  std::optional<Idle> due(std::uint64_t unoccupied, std::uint64_t occupied) const;

 private:
  struct Noted {
    std::uint64_t bytes;
    std::uint64_t due;  // when so many bytes were placed
  };
  std::uint64_t placed_ = 0;
  std::uint64_t longest_ = 0;                                 // block, less a part of what was placed since
  std::map<std::uint64_t, Noted> noted_;                      // by offset
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_due_;  // due, offset
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_IDLE_EXTENTS_H_
