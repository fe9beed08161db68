#include "client/open_clients.h"

#include <utility>
#include <vector>

#include "client/client_impl.h"
#include "client/fork.h"

namespace tensorbroker {
namespace {

// Guarded by hold_fork(). Never destroyed: tensors may be sent during static destruction.
std::vector<std::weak_ptr<Client::Impl>>& clients() {
  static auto& list = *new std::vector<std::weak_ptr<Client::Impl>>;
  return list;
}

}  // namespace

void list_open_client(const Client& client) {
  const auto no_fork = hold_fork();
  std::erase_if(clients(), [](const auto& listed) { return listed.expired(); });
  clients().push_back(client.impl());
}

std::optional<Client> find_open_client(std::string_view instance) {
  std::vector<std::shared_ptr<Client::Impl>> seen;  // the end of one may take a moment, without the lock
  const auto no_fork = hold_fork();
  for (const auto& listed : clients()) {
    const std::shared_ptr<Client::Impl> impl = seen.emplace_back(listed.lock());
    if (impl != nullptr && !impl->is_closed() && impl->instance() == instance) return Client(impl);
  }
  return std::nullopt;
}

}  // namespace tensorbroker
