#include "broker/peer.h"

#include <sys/socket.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace tensorbroker::broker {
namespace {

// The pids of a process, from this namespace to its own. Empty where they cannot be read.
std::vector<pid_t> pids_of(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  std::vector<pid_t> pids;
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("NSpid:")) continue;
    std::istringstream numbers(line.substr(line.find(':') + 1));
    for (pid_t pid = 0; numbers >> pid;) pids.push_back(pid);
  }
  return pids;
}

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

}  // namespace

Peer admit(int socket, const Served& served) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    throw AccessError("a connection of which the kernel does not say whose it is, is refused");
  }
  const bool is_member = served.group && (peer.gid == *served.group || has_group(socket, *served.group));
  if (peer.uid == served.owner || is_member) return {.pid = peer.pid, .uid = peer.uid};
  throw AccessError("a connection of uid " + std::to_string(peer.uid) + " (pid " + std::to_string(peer.pid) +
                    ") is refused: this broker serves " + whom(served) +
                    "; its owner can share it with a group (--group), and you can run a broker of your own");
}

bool pid_is_forged(pid_t peer, pid_t claimed) {
  if (peer <= 0 || peer == claimed || !proc_is_ours()) return false;
  const std::vector<pid_t> pids = pids_of(peer);
  return !pids.empty() && std::find(pids.begin(), pids.end(), claimed) == pids.end();
}

}  // namespace tensorbroker::broker
