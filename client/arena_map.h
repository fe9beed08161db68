// The arena in this process: read-only as a whole, writable or private where somebody may write.
//
// The read-only mapping is inherited by forked children; own extents are not (MADV_DONTFORK), since a child of a killed
// parent would write into what was granted to somebody else. Writable mappings of mutable blocks are inherited: the
// child has leases of its own for them. The file's descriptor is kept, compared with the arena's device and inode
// before each use, and opened again by name where the user closed it. Every mapping is guarded (guarded_mapping.h), and
// what a fault in one of them found gone is noted for the arena as a whole. Thread safe.

#ifndef TENSORBROKER_CLIENT_ARENA_MAP_H_
#define TENSORBROKER_CLIENT_ARENA_MAP_H_

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "client/file_identity.h"
#include "client/page_tables.h"
#include "proto/guarded_mapping.h"
#include "proto/segment.h"
#include "proto/session_layout.h"

namespace tensorbroker {

class ArenaMap {
 public:
  // Throws as Segment::open does. Another user's arena can only be read: nothing of it is mapped writable, private
  // pages apart.
  ArenaMap(const InstanceName& name, std::uint64_t id);
  ~ArenaMap();
  ArenaMap(const ArenaMap&) = delete;
  ArenaMap& operator=(const ArenaMap&) = delete;

  // The whole arena, read-only. Offsets in catalog records count from here.
  const std::byte* data() const noexcept { return segment_.data(); }
  std::uint64_t size() const noexcept { return segment_.size(); }
  bool is_writable() const noexcept { return access_ == Access::kReadWrite; }
  // Whether the range lies in the arena.
  bool contains(std::uint64_t offset, std::uint64_t bytes) const noexcept {
    return offset <= size() && bytes <= size() - offset;
  }
  // What faults have found gone.
  const Truncation& truncation() const noexcept { return segment_.truncation(); }
  // The length of the file now; nullopt where it cannot be opened any more. One system call.
  std::optional<std::uint64_t> file_size() noexcept;

  // ---- own extents: writable, not inherited. REQUIRES: whole pages. Throws Error with errno's text.
  std::byte* map_extent(std::uint64_t offset, std::uint64_t bytes);
  void unmap_extent(std::byte* data, std::uint64_t bytes) noexcept;
  // Unmaps all but the first `keep` bytes of an extent of `bytes` bytes; its page tables are filled no further.
  void shorten_extent(std::byte* data, std::uint64_t offset, std::uint64_t bytes, std::uint64_t keep) noexcept;
  // Has the extent's page tables filled in the background, until it is unmapped or `state` says kTaken: pages would
  // come back that the broker has freed.
  void populate_extent(std::byte* data, std::uint64_t bytes, const Word& state) noexcept;

  // ---- mutable blocks opened "r+": one writable mapping for each block and process, counted.
  std::byte* map_mutable(std::uint64_t offset, std::uint64_t bytes);
  void unmap_mutable(std::uint64_t offset) noexcept;

  // ---- copy-on-write pages over a block: null where no more mappings are to be had. Whole pages are mapped, so that
  // its neighbours in the first and last one show, too. unmap_private() says whether it worked.
  std::byte* map_private(std::uint64_t offset, std::uint64_t bytes) noexcept;
  bool unmap_private(std::byte* data, std::uint64_t bytes) noexcept;

  // ---- fork, in the child: what was an extent of the parent's at `data`, as private pages at the same addresses; or,
  // for mutable blocks that the child leases, shared ones. PROT_NONE where that fails.
  void inherit_private(std::byte* data, std::uint64_t offset, std::uint64_t bytes) noexcept;
  void inherit_shared(std::byte* data, std::uint64_t offset, std::uint64_t bytes) noexcept;
  // What the child inherited so will not be used any more; the address range stays taken.
  static void forbid(std::byte* data, std::uint64_t bytes) noexcept;
  // Makes every page of the arena and of the mutable blocks inaccessible: the child of a process without an heir.
  void forbid_all() noexcept;

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  struct Mutable {
    std::byte* data;
    std::uint64_t bytes;
    std::size_t users;
    GuardedMapping guard;
  };
  // Those that use fd_ are called under mutex_, or in a child that is being forked.
  int descriptor() noexcept;  // -1 where the arena's file cannot be opened any more
  std::byte* map(std::uint64_t offset, std::uint64_t bytes, int flags) noexcept;
  GuardedMapping guard(std::byte* data, std::uint64_t offset, std::uint64_t bytes) const noexcept;
  void keep_guard(std::byte* data, std::uint64_t offset, std::uint64_t bytes) noexcept;
  [[noreturn]] void throw_unmappable(std::uint64_t bytes) const;
  bool is_ours(int fd) const noexcept;
  void inherit(std::byte* data, std::uint64_t offset, std::uint64_t bytes, int flags) noexcept;

  const uid_t owner_;
  const Access access_;  // of the descriptor
  Segment segment_;
  FileIdentity identity_;
  std::mutex mutex_;
  int fd_ = -1;
  std::map<std::uint64_t, Mutable> mutables_;          // by block offset
  PageTables page_tables_;                             // of extents
  std::map<const std::byte*, GuardedMapping> guards_;  // of extents and private pages, by where they were mapped
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_ARENA_MAP_H_
