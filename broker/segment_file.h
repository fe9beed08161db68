// A segment's file descriptor, for what a mapping cannot do: reserving pages, reading without faulting them in.
//
// Move only. Its calls are thread safe.

#ifndef TENSORBROKER_BROKER_SEGMENT_FILE_H_
#define TENSORBROKER_BROKER_SEGMENT_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/range.h"

namespace tensorbroker::broker {

class SegmentFile {
 public:
  SegmentFile() = default;
  // Throws as open_segment_file does.
  explicit SegmentFile(std::string segment_name);
  SegmentFile(SegmentFile&& other) noexcept;
  SegmentFile& operator=(SegmentFile&& other) noexcept;
  ~SegmentFile();

  int fd() const noexcept { return fd_; }
  const std::string& name() const noexcept { return name_; }

  // Bytes; 0 where the system does not say.
  std::uint64_t size() const noexcept;

  // Locks the file for writing until this is destroyed; false where another process has it locked so.
  bool try_lock() const noexcept;

  // Lets the members of a group read the file: mode 0640. Throws Error where this user may not give it to the group.
  void share_with(gid_t group) const;
  // The group whose members may read it.
  std::optional<gid_t> group() const noexcept;

  // Throws OutOfMemoryError.
  void reserve(const Range& range) const;

  // `count` records at `offset`, read without giving memory to pages that have none; what lies beyond the end of the
  // file is missing. Record: a layout record over plain std::uint64_t.
  template <class Record>
  std::vector<Record> read(std::uint64_t offset, std::size_t count) const {
    std::vector<Record> records(count);
    records.resize(read_bytes(offset, records.data(), count * sizeof(Record)) / sizeof(Record));
    return records;
  }

 private:
  std::size_t read_bytes(std::uint64_t offset, void* out, std::size_t bytes) const;

  int fd_ = -1;
  std::string name_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_SEGMENT_FILE_H_
