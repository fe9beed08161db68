#include "proto/user_names.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <charconv>
#include <optional>
#include <vector>

#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr std::size_t kMostBytes = 1 << 24;  // of a group with many members

std::optional<std::uint32_t> number_in(const std::string& text) {
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  // The highest number is chown's "leave it".
  if (text.empty() || error != std::errc() || stopped != end || number == ~std::uint32_t{0}) return std::nullopt;
  return number;
}

// `get` is getpwnam_r or getgrnam_r; `id` the member of Record that is asked for.
template <class Record, class Id, class Get>
std::optional<Id> look_up(const std::string& name, Get get, Id Record::* id) {
  Record record{};
  Record* found = nullptr;
  for (std::vector<char> buffer(4096); buffer.size() <= kMostBytes; buffer.resize(2 * buffer.size())) {
    if (get(name.c_str(), &record, buffer.data(), buffer.size(), &found) != ERANGE) break;
  }
  if (found == nullptr) return std::nullopt;
  return found->*id;
}

}  // namespace

uid_t find_user(const std::string& name_or_uid) {
  if (const auto number = number_in(name_or_uid)) return *number;
  if (const auto uid = look_up(name_or_uid, getpwnam_r, &passwd::pw_uid)) return *uid;
  throw InvalidArgumentError("there is no user '" + name_or_uid +
                             "' on this machine; `getent passwd` lists those there are, and a uid will do");
}

gid_t find_group(const std::string& name_or_gid) {
  if (const auto number = number_in(name_or_gid)) return *number;
  if (const auto gid = look_up(name_or_gid, getgrnam_r, &group::gr_gid)) return *gid;
  throw InvalidArgumentError("there is no group '" + name_or_gid +
                             "' on this machine; `getent group` lists those there are, `groupadd` makes one, and a "
                             "gid will do");
}

}  // namespace tensorbroker
