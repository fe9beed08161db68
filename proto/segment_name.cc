#include "proto/segment_name.h"

#include <array>
#include <charconv>
#include <string>
#include <utility>

namespace tensorbroker {
namespace {

constexpr std::array<std::pair<SegmentKind, std::string_view>, 3> kKinds = {{
    {SegmentKind::kCatalog, "catalog"},
    {SegmentKind::kArena, "arena"},
    {SegmentKind::kSession, "session"},
}};

}  // namespace

std::string InstanceName::prefix() const { return "tensorbroker." + std::to_string(uid) + "." + instance + "."; }

std::string InstanceName::segment(SegmentKind kind, std::uint64_t id) const {
  for (const auto& [k, text] : kKinds) {
    if (k == kind) return prefix() + std::string(text) + "." + std::to_string(id);
  }
  return {};
}

std::string InstanceName::lock_path() const { return std::string(kShmDirectory) + "/" + prefix() + "lock"; }

std::optional<SegmentId> parse_segment_name(const InstanceName& instance, std::string_view file_name) {
  const std::string prefix = instance.prefix();
  if (!file_name.starts_with(prefix)) return std::nullopt;
  file_name.remove_prefix(prefix.size());
  for (const auto& [kind, text] : kKinds) {
    if (!file_name.starts_with(text) || file_name.size() <= text.size() || file_name[text.size()] != '.') continue;
    const std::string_view digits = file_name.substr(text.size() + 1);
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    // A number has one name: "007" is none.
    if (error != std::errc{} || end != digits.data() + digits.size() || std::to_string(id) != digits)
      return std::nullopt;
    return SegmentId{kind, id};
  }
  return std::nullopt;
}

}  // namespace tensorbroker
