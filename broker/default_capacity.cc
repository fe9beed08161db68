#include "broker/default_capacity.h"

#include <sys/statvfs.h>
#include <tensorbroker/error.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include "proto/limits.h"

namespace tensorbroker::broker {
namespace {

using Bytes = std::optional<std::uint64_t>;

Bytes smaller(Bytes a, Bytes b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

// The number in a file of one number; nullopt for "max" or no such file.
Bytes read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t n = 0;
  if (file >> n) return n;
  return std::nullopt;
}

// The number after `key` on a line of its own, as in memory.stat and meminfo.
Bytes read_keyed(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  std::string word;
  std::uint64_t n = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    if (words >> word >> n && word == key) return n;
  }
  return std::nullopt;
}

// What files are called in each version of the controller.
struct Controller {
  const char* limit;
  const char* usage;
  const char* droppable;  // key in memory.stat
};
constexpr Controller kVersion2 = {"memory.max", "memory.current", "inactive_file"};
constexpr Controller kVersion1 = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};

Bytes room_of_group(const std::string& dir, const Controller& controller) {
  const Bytes limit = read_number(dir + "/" + controller.limit);
  const Bytes usage = read_number(dir + "/" + controller.usage);
  if (!limit || !usage) return std::nullopt;
  const std::uint64_t droppable = read_keyed(dir + "/memory.stat", controller.droppable).value_or(0);
  const std::uint64_t held = *usage - std::min(*usage, droppable);
  return *limit - std::min(*limit, held);
}

// The least room from `group` up to the root of the hierarchy. A group that is not to be seen here (a container shows
// its own as the root) is passed over.
Bytes room_up_from(const std::string& root, std::string group, const Controller& controller) {
  Bytes room;
  while (true) {
    room = smaller(room, room_of_group(root + group, controller));
    if (group.empty() || group == "/") return room;
    group.erase(group.rfind('/'));
  }
}

bool names_memory(std::string_view controllers) {
  const std::string list = "," + std::string(controllers) + ",";
  return list.find(",memory,") != std::string::npos;
}

std::uint64_t file_system_room(const std::string& dir) {
  struct statvfs fs{};
  if (statvfs(dir.c_str(), &fs) != 0) {
    throw Error(ErrorCode::kRuntime, "cannot look at " + dir + ": " + std::strerror(errno) +
                                         "; mount a tmpfs there (`mount -t tmpfs tmpfs /dev/shm`)");
  }
  return std::uint64_t{fs.f_bavail} * fs.f_frsize;
}

}  // namespace

Bytes cgroup_room(const MemoryFiles& files) {
  Bytes room;
  std::ifstream groups(files.self_cgroup);
  // Lines of cgroups(7): hierarchy:controllers:path, the controllers empty for version 2.
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      room = smaller(room, room_up_from(files.cgroup_root, group, kVersion2));
    } else if (names_memory(controllers)) {
      room = smaller(room, room_up_from(files.cgroup_root + "/memory", group, kVersion1));
    }
  }
  return room;
}

std::uint64_t default_capacity(const MemoryFiles& files) {
  std::uint64_t room = file_system_room(files.shm_dir);
  room = smaller(room, cgroup_room(files)).value();
  if (const Bytes kib = read_keyed(files.meminfo, "MemAvailable:")) room = std::min(room, *kib * 1024);
  return (room - room / 16) / kPageSize * kPageSize;
}

}  // namespace tensorbroker::broker
