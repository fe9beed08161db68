#include "broker/arena_file.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "proto/limits.h"
#include "proto/schema/segment_generated.h"
#include "tensorbroker/error.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kSlice = 64ULL << 20;

int reserve_in_slices(int fd, const Range& range) {
  for (std::uint64_t at = range.offset; at < range.end();) {
    const std::uint64_t bytes = std::min(kSlice, range.end() - at);
    const int error = posix_fallocate(fd, static_cast<off_t>(at), static_cast<off_t>(bytes));
    if (error == EINTR) continue;
    if (error != 0) return error;
    at += bytes;
  }
  return 0;
}

}  // namespace

ArenaFile ArenaFile::create(const InstanceName& name, std::uint64_t id, std::uint64_t bytes,
                            const InstanceId& instance) {
  flatbuffers::FlatBufferBuilder builder;
  const auto tables = schema::CreateArenaTables(builder, bytes);
  builder.FinishSizePrefixed(schema::CreateSegmentHeader(builder,
                                                         builder.CreateString(name.segment(SegmentKind::kArena, id)),
                                                         schema::SegmentTables::ArenaTables, tables.Union()));
  Segment segment =
      Segment::create(name, SegmentKind::kArena, id, bytes, instance, {builder.GetBufferPointer(), builder.GetSize()});
  segment.finish();
  return ArenaFile(SegmentFile(segment.name()));
}

ArenaFile ArenaFile::open(const InstanceName& name, std::uint64_t id, std::uint64_t bytes) {
  const Segment segment = Segment::open(name, SegmentKind::kArena, id, Access::kReadWrite);
  if (segment.size() < bytes) {
    throw CorruptSegmentError("the segment " + segment.name() + " has " + std::to_string(segment.size()) +
                              " bytes where its catalog says " + std::to_string(bytes) + "; it was truncated");
  }
  return ArenaFile(SegmentFile(segment.name()));
}

int ArenaFile::prepare(std::span<const Range> punched, std::span<const Range> reserve) const noexcept {
  for (const Range& range : punched) punch(range);
  std::uint64_t bytes = 0;
  for (const Range& range : reserve) bytes += range.bytes;
  // fallocate of more than is left would first take all that others need, and give it back only then.
  if (bytes > file_system_free()) return ENOSPC;
  for (const Range& range : reserve) {
    const int error = reserve_in_slices(file_.fd(), range);
    if (error == 0) continue;
    for (const Range& undone : reserve) punch(undone);
    return error;
  }
  return 0;
}

int ArenaFile::reserve_zeroed(const Range& range) const noexcept {
  if (const int error = prepare({}, {&range, 1}); error != 0) return error;
  // tmpfs zeroes what it is asked to reserve and has reserved already (so that it can undo the second call alone).
  const int error = reserve_in_slices(file_.fd(), range);
  if (error != 0) punch(range);
  return error;
}

void ArenaFile::punch(const Range& range) const noexcept {
  if (range.empty()) return;
  const auto offset = static_cast<off_t>(range.offset);
  while (fallocate(file_.fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, static_cast<off_t>(range.bytes)) !=
             0 &&
         errno == EINTR) {
  }
}

std::uint64_t ArenaFile::file_system_free() const noexcept {
  struct statvfs fs{};
  if (fstatvfs(file_.fd(), &fs) != 0) return 0;
  if (fs.f_blocks == 0) return std::numeric_limits<std::int64_t>::max();  // a tmpfs mounted without a limit
  return std::uint64_t{fs.f_bavail} * fs.f_frsize;
}

}  // namespace tensorbroker::broker
