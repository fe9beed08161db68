// How many connections each user and each process has, and may have. Each costs the broker a descriptor, and each
// session at most two more.
//
// On the loop's thread. A process whose pid is not to be seen here (0) is bounded by its user's limit alone.

#ifndef TENSORBROKER_BROKER_CONNECTION_QUOTA_H_
#define TENSORBROKER_BROKER_CONNECTION_QUOTA_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>

namespace tensorbroker::broker {

struct ConnectionLimits {
  std::uint64_t of_user = 0;  // 0: none
  std::uint64_t of_process = 0;
};

class ConnectionQuota {
 public:
  // One connection, counted for as long as this lives; it may outlive the quota.
  using Charge = std::shared_ptr<void>;

  explicit ConnectionQuota(const ConnectionLimits& limits) : limits_(limits) {}

  // Throws QuotaError, nothing being counted, where that would be one too many.
  Charge charge(uid_t uid, pid_t pid);

 private:
  struct Counts {
    std::map<uid_t, std::uint64_t> of_user;
    std::map<pid_t, std::uint64_t> of_process;
  };

  ConnectionLimits limits_;
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_CONNECTION_QUOTA_H_
