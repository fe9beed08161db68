// One POSIX shared-memory segment: created, opened and checked by its first page.
//
// The first page holds a fixed preamble (magic, layout version and hash, page size, boot id, instance id, kind) and a
// size-prefixed FlatBuffers SegmentHeader. The magic is stored last: a segment without it was never finished, and a
// successor deletes it. The page is read once, into a copy that is checked and used from then on: others may be able to
// write to the segment, or to truncate it, meanwhile. A Segment owns its mapping and no descriptor; move only. Its
// mapping is guarded: where the handler of SIGBUS is installed, pages that somebody truncated read as zeros. Not thread
// safe, the memory apart.

#ifndef TENSORBROKER_PROTO_SEGMENT_H_
#define TENSORBROKER_PROTO_SEGMENT_H_

#include <array>
#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proto/guarded_mapping.h"
#include "proto/schema/segment_generated.h"
#include "proto/segment_name.h"

namespace tensorbroker {

enum class Access { kReadOnly, kReadWrite };

// Tells apart instances of one name that lived one after another; 128 random bits.
using InstanceId = std::array<std::uint8_t, 16>;

class Segment {
 public:
  Segment() = default;

  // Creates the segment O_EXCL with mode 0600 and `bytes` of sparse address space, maps it writable, reserves the first
  // page and writes preamble and header to it. `header` is a finished SegmentHeader. The magic is not stored yet:
  // finish() does, once all else is in place. Throws OutOfMemoryError where the file system is full, else Error.
  static Segment create(const InstanceName& name, SegmentKind kind, std::uint64_t id, std::uint64_t bytes,
                        const InstanceId& instance, std::span<const std::uint8_t> header);
  void finish();

  // Maps a segment that somebody else made. Throws NotFoundError where there is none, VersionMismatchError where its
  // layout differs, CorruptSegmentError (naming segment and check) where the first page does not verify, says that it
  // is another segment's, or was never finished, AccessError where it is a link or not the instance's owner's.
  static Segment open(const InstanceName& name, SegmentKind kind, std::uint64_t id, Access access);
  // The same through a descriptor of it, which stays the caller's.
  static Segment map(int fd, const InstanceName& name, SegmentKind kind, std::uint64_t id, Access access);

  std::byte* data() const noexcept { return static_cast<std::byte*>(region_.get_address()); }
  std::uint64_t size() const noexcept { return region_.get_size(); }
  const std::string& name() const noexcept { return name_; }
  const InstanceId& instance() const noexcept { return instance_; }
  const schema::SegmentHeader& header() const noexcept;
  // From where on it was found truncated by a fault. Stays where it is when the segment is moved.
  Truncation& truncation() const noexcept { return *truncation_; }

  // A pointer to `count` records at `offset`. Throws CorruptSegmentError where they do not lie within the segment.
  template <class Record>
  Record* records(std::uint64_t offset, std::uint64_t count) const {
    check_range(offset, count, sizeof(Record), alignof(Record));
    return reinterpret_cast<Record*>(data() + offset);
  }

  // Gives up ownership of the mapping, and its guard: the caller unmaps data()..size() itself (or lets it live for
  // ever).
  void release() noexcept;

 private:
  void check_range(std::uint64_t offset, std::uint64_t count, std::size_t size, std::size_t alignment) const;
  void take_first_page(int fd, SegmentKind kind);
  [[noreturn]] void throw_truncated() const;
  void take_header(std::span<const std::uint8_t> header);
  void guard(bool writable);

  std::string name_;
  boost::interprocess::mapped_region region_;
  std::unique_ptr<Truncation> truncation_ = std::make_unique<Truncation>();
  GuardedMapping guard_;  // goes before the mapping
  InstanceId instance_{};
  std::vector<std::uint64_t> header_;  // its own copy, aligned as FlatBuffers want it
};

// Opens a segment's file by name for reading and writing or reading; the caller closes it. Throws NotFoundError,
// AccessError where it is a link or does not belong to `owner`, or Error with errno's text.
int open_segment_file(const std::string& segment_name, Access access, uid_t owner);

// Reserves pages (posix_fallocate). Throws OutOfMemoryError with what was asked and what the file system has left.
void reserve_pages(int fd, std::uint64_t offset, std::uint64_t bytes, const std::string& segment_name);

// Removes a segment's name; those who map it keep it. False where there was none.
bool unlink_segment(const std::string& segment_name) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_SEGMENT_H_
