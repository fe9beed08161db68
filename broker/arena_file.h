// The arena's file as the broker holds it: pages are reserved and punched through its descriptor, never mapped.
//
// Thread safe: the worker reserves and punches while the main thread goes on. Ranges are whole pages.

#ifndef TENSORBROKER_BROKER_ARENA_FILE_H_
#define TENSORBROKER_BROKER_ARENA_FILE_H_

#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "broker/range.h"
#include "broker/segment_file.h"
#include "proto/segment.h"

namespace tensorbroker::broker {

class ArenaFile {
 public:
  // Creates and finishes the segment: one page of header, then `bytes` - kPageSize of sparse address space.
  // Throws as Segment::create does.
  static ArenaFile create(const InstanceName& name, std::uint64_t id, std::uint64_t bytes, const InstanceId& instance);
  // Opens the segment that a catalog names. Throws as Segment::open does, and CorruptSegmentError where it is shorter
  // than `bytes`.
  static ArenaFile open(const InstanceName& name, std::uint64_t id, std::uint64_t bytes);

  const std::string& name() const noexcept { return file_.name(); }
  std::uint64_t size() const noexcept { return file_.size(); }

  // As SegmentFile's.
  void share_with(gid_t group) const { file_.share_with(group); }

  // Gives `reserve` its pages, after freeing those of `punch` (always, whatever happens then). Works in slices, after
  // a look at what the file system has left. Returns 0, or the errno of what it ran into; then `reserve` has no pages.
  int prepare(std::span<const Range> punch, std::span<const Range> reserve) const noexcept;

  // Gives a range pages that are zeros already: the kernel reserves pages as they are, and else zeroes each when
  // somebody first touches it. Returns 0 or the errno of what it ran into; then the range has no pages.
  int reserve_zeroed(const Range& range) const noexcept;

  // Frees the pages of a range, which then reads as zeros.
  void punch(const Range& range) const noexcept;

  // Bytes that the file system has left for this user; a very large number where it has no limit.
  std::uint64_t file_system_free() const noexcept;

 private:
  explicit ArenaFile(SegmentFile file) : file_(std::move(file)) {}

  SegmentFile file_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_ARENA_FILE_H_
