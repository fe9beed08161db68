// What the files of an instance are called. Pure.

#ifndef TENSORBROKER_PROTO_SEGMENT_NAME_H_
#define TENSORBROKER_PROTO_SEGMENT_NAME_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tensorbroker {

enum class SegmentKind : std::uint8_t { kCatalog = 1, kArena = 2, kSession = 3 };

// The instance that a segment belongs to: one per user and name.
struct InstanceName {
  uid_t uid = 0;
  std::string instance;

  std::string prefix() const;                                     // "tensorbroker.<uid>.<instance>."
  std::string segment(SegmentKind kind, std::uint64_t id) const;  // "tensorbroker.<uid>.<instance>.<kind>.<id>"
  std::string lock_path() const;                                  // "/dev/shm/tensorbroker.<uid>.<instance>.lock"
};

inline constexpr std::string_view kShmDirectory = "/dev/shm";

// The kind and id in a file name of this instance; nullopt for any other name.
struct SegmentId {
  SegmentKind kind;
  std::uint64_t id;
};
std::optional<SegmentId> parse_segment_name(const InstanceName& instance, std::string_view file_name);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_SEGMENT_NAME_H_
