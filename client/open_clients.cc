#include "client/open_clients.h"

#include <tensorbroker/error.h>

#include <vector>

#include "client/fork.h"

namespace tensorbroker {
namespace {

// Guarded by hold_fork(). Never destroyed: tensors may be used during static destruction.
std::vector<std::weak_ptr<ClientLimits>>& clients() {
  static auto& list = *new std::vector<std::weak_ptr<ClientLimits>>;
  return list;
}

bool serves(const ClientLimits& limits, const InstanceName& instance) {
  return !limits.closed.load(std::memory_order_relaxed) && limits.instance.uid == instance.uid &&
         limits.instance.instance == instance.instance;
}

}  // namespace

void list_open_client(const std::shared_ptr<ClientLimits>& limits) {
  const auto no_fork = hold_fork();
  std::erase_if(clients(), [](const auto& client) { return client.expired(); });
  clients().push_back(limits);
}

std::shared_ptr<const ClientLimits> open_client(const InstanceName& instance) {
  const auto no_fork = hold_fork();
  for (const auto& client : clients()) {
    std::shared_ptr<ClientLimits> limits = client.lock();
    if (limits != nullptr && serves(*limits, instance)) return limits;
  }
  throw ClosedError("every client of instance '" + instance.instance + "' was closed; connect again and repeat");
}

}  // namespace tensorbroker
