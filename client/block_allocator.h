// Places blocks inside the extents that this session owns, so that a put needs no message for its memory.
//
// Small blocks (below 1 MiB, where its maker says nothing else) share extents, the first of 256 KiB, the next ones
// twice as long up to 1 MiB, then of a 64th of what they have, up to 8 MiB; larger blocks lie in extents sized by the
// block, whose rests only large blocks use. Best fit; freed neighbours merge. A published block stays occupied until
// the broker returns it through the session's ring, by offset and generation, once. An extent without drafts is marked
// free, and once nothing published lies in it the broker may take it, asking nobody: whoever puts a draft there first
// changes it back by compare-and-swap, and gives the extent back where that fails. What is idle goes back as
// idle_extents.h says.
//
// Thread safe. Nothing is granted, mapped or given back while the lock is held. After fork the child starts empty, and
// blocks from before are not its own: discarding or publishing them does nothing here.

#ifndef TENSORBROKER_CLIENT_BLOCK_ALLOCATOR_H_
#define TENSORBROKER_CLIENT_BLOCK_ALLOCATOR_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "client/idle_extents.h"
#include "client/limit.h"
#include "proto/session_layout.h"

namespace tensorbroker {

// An extent of this session, mapped writable.
struct OwnExtent {
  std::uint32_t id = 0;
  std::uint64_t offset = 0;  // in the arena
  std::uint64_t bytes = 0;
  std::byte* data = nullptr;
  Word* state = nullptr;  // ExtentState
};

// What goes back of an extent, described as it was until then: all but its first `keep` bytes.
struct GivenBack {
  OwnExtent extent;
  std::uint64_t keep = 0;
};

// A place for one tensor or bundle.
struct Block {
  std::uint64_t offset = 0;   // in the arena
  std::uint64_t bytes = 0;    // padded; 0: no elements, and no place
  std::byte* data = nullptr;  // writable
  std::uint64_t session = 0;  // whose extent it is
};

class BlockAllocator {
 public:
  // What the allocator needs of the world. Called without its lock, where nothing else is said; grant may throw.
  struct Source {
    std::function<OwnExtent(std::uint64_t bytes, const Limit&)> grant;  // at least so many bytes; OutOfMemoryError
    std::function<void(const OwnExtent&)> placed;  // it is on the allocator's list now; must not throw
    // Unmaps; must not throw. `epoch`: what epoch() said when it was taken off this allocator's list.
    std::function<void(const std::vector<GivenBack>&, std::uint64_t epoch)> give_back;
    std::function<std::uint64_t()> epoch;  // of the connection; called under the lock, must not wait
    std::function<void()> ring_was_full;   // the broker may hold back returns; called under the lock, must not wait
  };

  static constexpr std::uint64_t kLargeBlock = 1 << 20;

  // Blocks of `large` bytes and more are large.
  explicit BlockAllocator(Source source, std::uint64_t large = kLargeBlock);
  ~BlockAllocator();

  // Where the returns come from: the session's segment. REQUIRES: nobody uses the allocator.
  void bind(std::uint64_t session, SessionControl* control, const BlockReturn* ring);

  // A block for `bytes` bytes, aligned and padded as limits.h says; contents are whatever was there. `bytes` 0 gives an
  // empty block. Throws what grant throws: OutOfMemoryError, QuotaError, BrokerUnavailableError.
  Block allocate(std::uint64_t bytes, bool is_mutable, const Limit& limit);

  // The block of a draft that nobody will publish.
  void discard(const Block& block);
  // The block was published with this generation: occupied until its return.
  void published(const Block& block, std::uint64_t generation);
  // Nobody knows whether it was published: occupied until a return with a generation not below `floor`, which was the
  // catalog's next one before the request was sent.
  void in_doubt(const Block& block, std::uint64_t floor);

  // Sees to it that `bytes` bytes are free for large blocks, in extents that all of them may share and that are kept
  // however long they are idle: has one granted for what is missing.
  void reserve(std::uint64_t bytes, const Limit& limit);

  // Takes what the broker returned. True where the ring had been full.
  bool collect_returns();

  // What this session believes its own, given back or not.
  std::vector<OwnExtent> extents() const;

  // Blocks that drafts occupy.
  std::size_t drafts() const;
  // Bytes in blocks, and bytes of all extents.
  std::uint64_t occupied_bytes() const;
  std::uint64_t extent_bytes() const;

  // Fork: the lock is held across it; the child then forgets everything, and gets the extents of its parent.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  std::vector<OwnExtent> forget_all_locked();

 private:
  struct Extent;
  enum class Use { kDraft, kPublished, kInDoubt };
  struct Placed {
    std::uint64_t bytes = 0;
    Extent* extent = nullptr;
    Use use = Use::kDraft;
    std::uint64_t generation = 0;      // published with, live bit clear; in doubt: the floor
    std::uint64_t returned_early = 0;  // generation of a return that came before the reply
  };
  struct Request {
    std::uint64_t bytes;  // padded
    std::uint64_t alignment;
    bool is_large;
  };
  using Run = std::pair<std::uint64_t, std::uint64_t>;  // bytes, offset
  using Blocks = std::map<std::uint64_t, Placed>;       // by offset

  Blocks::iterator find_own(const Block& block);
  std::optional<Block> place(const Request& request);
  std::optional<Block> place_at_hand(const Request& request);
  std::optional<Block> place_anywhere(const Request& request);
  std::optional<Block> place_in(std::set<Run>& runs, const Request& request, bool sparing);
  Block occupy(Extent& extent, Run run, std::uint64_t start, std::uint64_t bytes);
  Block grant_and_place(const Request& request, std::uint64_t bytes, const Limit& limit);
  Extent& add_extent(const OwnExtent& granted, bool is_large);
  Extent& extent_at(std::uint64_t offset) const;
  std::set<Run>& runs_of(const Extent& extent);
  bool claim(Extent& extent);
  void unclaim(Extent& extent);
  void end_draft(const Placed& placed);
  void free_block(Blocks::iterator block);
  void add_run(Extent& extent, std::uint64_t offset, std::uint64_t bytes);
  void drop(Extent& extent);
  void drop_taken();
  std::uint64_t reserve_idle(std::uint64_t bytes);
  void note_idle(Extent& extent);
  void give_up_idle(std::uint64_t placed);
  void shorten(Extent& extent);
  void end_shortening(const std::vector<GivenBack>& given);
  std::uint64_t next_small_extent() const;
  bool collect_locked();
  void accept_return(std::uint64_t offset, std::uint64_t generation);
  void give_back_dropped();
  std::vector<OwnExtent> own_extents() const;

  Source source_;
  const std::uint64_t large_;
  std::uint64_t session_ = 0;
  SessionControl* control_ = nullptr;
  const BlockReturn* ring_ = nullptr;

  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::unique_ptr<Extent>> extents_;  // by offset
  std::set<Run> small_runs_, large_runs_;                     // free, in extents of either kind
  Blocks blocks_;
  IdleExtents idle_;
  std::vector<GivenBack> dropped_;        // to be given back once the lock is free
  std::uint64_t small_extent_bytes_ = 0;  // of extents for small blocks
  std::uint64_t reserved_free_ = 0;       // bytes that no block occupies in extents that were reserved ahead
  std::uint64_t occupied_ = 0;
  std::uint64_t extent_bytes_ = 0;
  std::size_t drafts_ = 0;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_BLOCK_ALLOCATOR_H_
