#include "broker/peer.h"

#include <unistd.h>

#include <algorithm>
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

}  // namespace

bool pid_is_forged(pid_t peer, pid_t claimed) {
  if (peer <= 0 || peer == claimed || !proc_is_ours()) return false;
  const std::vector<pid_t> pids = pids_of(peer);
  return !pids.empty() && std::find(pids.begin(), pids.end(), claimed) == pids.end();
}

}  // namespace tensorbroker::broker
