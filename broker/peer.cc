#include "broker/peer.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace tensorbroker::broker {
namespace {

constexpr int kPeerPidfd = 77;                // SO_PEERPIDFD, which older headers lack
constexpr std::uint64_t kPidfs = 0x50494446;  // file system of pidfds that have inodes of their own
constexpr std::uint64_t kIsStart = std::uint64_t{1} << 63;
constexpr std::uint64_t kNanoseconds = 1'000'000'000;

// The numbers of one line of /proc/<process>/status. Empty where it cannot be read.
std::vector<pid_t> numbers_of(pid_t process, const std::string& field) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  std::vector<pid_t> found;
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(field)) continue;
    std::istringstream numbers(line.substr(field.size()));
    for (pid_t number = 0; numbers >> number;) found.push_back(number);
  }
  return found;
}

// The pids of a process, from this namespace to its own.
std::vector<pid_t> pids_of(pid_t process) { return numbers_of(process, "NSpid:"); }

// A /proc that was mounted for another namespace numbers its processes otherwise.
bool proc_is_ours() {
  const std::vector<pid_t> own = pids_of(getpid());
  std::ifstream self("/proc/self/stat");
  pid_t pid = 0;
  return self >> pid && pid == getpid() && !own.empty() && own.front() == pid;
}

bool has_group(int socket, gid_t group) {
  std::vector<gid_t> groups(64);
  for (;;) {
    auto bytes = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    const int result = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &bytes);
    if (result != 0 && errno != ERANGE) return false;
    groups.resize(bytes / sizeof(gid_t));
    if (result == 0) return std::find(groups.begin(), groups.end(), group) != groups.end();
  }
}

std::string whom(const Served& served) {
  std::string text = "uid " + std::to_string(served.owner);
  if (served.group) text += " and the members of group " + std::to_string(*served.group);
  return text;
}

std::uint64_t ticks_per_second() { return static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK)); }

// What this time namespace adds to the time since the boot, in clock ticks.
std::int64_t ticks_of_time_namespace() {
  std::ifstream offsets("/proc/self/timens_offsets");
  std::string clock;
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  while (offsets >> clock >> seconds >> nanoseconds) {
    if (clock != "boottime") continue;
    const auto ticks = static_cast<std::int64_t>(ticks_per_second());
    return seconds * ticks + nanoseconds * ticks / static_cast<std::int64_t>(kNanoseconds);
  }
  return 0;
}

// When it started, in clock ticks since the boot.
std::uint64_t start_of(pid_t pid) {
  if (pid <= 0 || !proc_is_ours()) return 0;
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text, '\0');
  const std::size_t name_ends = text.rfind(')');  // the name of the program may contain anything
  if (name_ends == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_ends + 1));
  std::string field;
  for (int i = 3; i < 22; ++i) fields >> field;
  std::int64_t ticks = 0;
  if (!(fields >> ticks)) return 0;
  return kIsStart | static_cast<std::uint64_t>(ticks - ticks_of_time_namespace());
}

// Closes the descriptor.
std::uint64_t inode_of_pidfd(int fd) {
  if (fd < 0) return 0;
  struct statfs system{};
  struct stat status{};
  const bool has_own = fstatfs(fd, &system) == 0 && static_cast<std::uint64_t>(system.f_type) == kPidfs;
  const std::uint64_t inode = has_own && fstat(fd, &status) == 0 ? status.st_ino : 0;
  close(fd);
  return inode & ~kIsStart;
}

std::uint64_t process_of(pid_t pid) {
  const std::uint64_t inode = inode_of_pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  return inode != 0 ? inode : start_of(pid);
}

std::uint64_t process_of_peer(int socket, pid_t peer) {
  int fd = -1;
  socklen_t size = sizeof fd;
  if (getsockopt(socket, SOL_SOCKET, kPeerPidfd, &fd, &size) == 0) {
    if (const std::uint64_t inode = inode_of_pidfd(fd); inode != 0) return inode;
  }
  return peer > 0 ? process_of(peer) : 0;
}

std::optional<ucred> credentials_of(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer;
}

}  // namespace

pid_t pid_of_peer(int socket) {
  const auto peer = credentials_of(socket);
  return peer ? peer->pid : 0;
}

Peer admit(int socket, const Served& served) {
  const auto credentials = credentials_of(socket);
  if (!credentials) {
    throw AccessError("a connection of which the kernel does not say whose it is, is refused");
  }
  const ucred& peer = *credentials;
  const bool is_member = served.group && (peer.gid == *served.group || has_group(socket, *served.group));
  if (peer.uid == served.owner || is_member) {
    return {.pid = peer.pid, .uid = peer.uid, .process = process_of_peer(socket, peer.pid)};
  }
  throw AccessError("a connection of uid " + std::to_string(peer.uid) + " (pid " + std::to_string(peer.pid) +
                    ") is refused: this broker serves " + whom(served) +
                    "; its owner can share it with a group (--group), and you can run a broker of your own");
}

bool pid_is_forged(pid_t peer, pid_t claimed) {
  if (peer <= 0 || peer == claimed || !proc_is_ours()) return false;
  const std::vector<pid_t> pids = pids_of(peer);
  return !pids.empty() && std::find(pids.begin(), pids.end(), claimed) == pids.end();
}

bool are_different_processes(std::uint64_t one, std::uint64_t other) {
  if (one == 0 || other == 0 || (one & kIsStart) != (other & kIsStart)) return false;
  if ((one & kIsStart) == 0) return one != other;
  // Time namespaces are taken off in whole ticks.
  return std::max(one, other) - std::min(one, other) > 1;
}

bool is_no_child_of(pid_t peer, std::uint64_t parent) {
  if (peer <= 0 || parent == 0 || !proc_is_ours()) return false;
  const std::vector<pid_t> parents = numbers_of(peer, "PPid:");
  if (parents.empty() || parents.front() <= 0) return false;
  return are_different_processes(process_of(parents.front()), parent);
}

}  // namespace tensorbroker::broker
