#include "broker/connection_quota.h"

#include <tensorbroker/error.h>

#include <string>

namespace tensorbroker::broker {
namespace {

void check(const std::string& whose, std::uint64_t count, std::uint64_t limit, const char* flag) {
  if (limit == 0 || count < limit) return;
  throw QuotaError("the connection is refused: " + whose + " has " + std::to_string(count) + ", its limit is " +
                   std::to_string(limit) + "; close some, or raise " + flag);
}

template <class Key>
void count_down(std::map<Key, std::uint64_t>& counts, Key key) {
  if (const auto at = counts.find(key); --at->second == 0) counts.erase(at);
}

}  // namespace

ConnectionQuota::Charge ConnectionQuota::charge(uid_t uid, pid_t pid) {
  Counts& counts = *counts_;
  const auto number = [](const auto& map, auto key) {
    const auto at = map.find(key);
    return at != map.end() ? at->second : 0;
  };
  if (pid != 0) {
    check("process " + std::to_string(pid), number(counts.of_process, pid), limits_.of_process,
          "--process-connections");
  }
  check("user " + std::to_string(uid), number(counts.of_user, uid), limits_.of_user, "--user-connections");
  ++counts.of_user[uid];
  ++counts.of_process[pid];
  return {nullptr, [counted = counts_, uid, pid](void*) {
            count_down(counted->of_user, uid);
            count_down(counted->of_process, pid);
          }};
}

}  // namespace tensorbroker::broker
