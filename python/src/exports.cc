#include "python/src/exports.h"

#include <pthread.h>

#include <map>
#include <mutex>

#include "client/storage.h"

namespace tensorbroker::python {
namespace {

// By where the memory begins. Blocks of a broker do not overlap; one that is held twice begins twice at one place.
using Place = std::pair<const std::byte*, detail::Storage*>;

struct Exported {
  const std::byte* end;  // a draft whose publication failed has none any more
  std::size_t times;
};

// Never destroyed: capsules may outlive everything.
struct Table {
  std::mutex mutex;
  std::map<Place, Exported> storages;
};

Table& table() {
  static Table* const instance = [] {
    // A child must not inherit the lock from a thread that it does not have.
    pthread_atfork([] { table().mutex.lock(); }, [] { table().mutex.unlock(); }, [] { table().mutex.unlock(); });
    return new Table;
  }();
  return *instance;
}

bool is_noted(const detail::Storage& storage) {
  return storage.attachment() != nullptr && storage.kind() != detail::StorageKind::kPrivate && storage.nbytes() != 0;
}

}  // namespace

NotedExport::NotedExport(const detail::StorageRef& storage) : storage_(storage.get()) {
  if (!is_noted(*storage_)) return;
  begin_ = storage_->data();
  Table& exports = table();
  const std::lock_guard lock(exports.mutex);
  ++exports.storages.try_emplace({begin_, storage_}, Exported{begin_ + storage_->nbytes(), 0}).first->second.times;
}

NotedExport::~NotedExport() {
  if (begin_ == nullptr) return;
  Table& exports = table();
  const std::lock_guard lock(exports.mutex);
  const auto at = exports.storages.find({begin_, storage_});
  if (at != exports.storages.end() && --at->second.times == 0) exports.storages.erase(at);
}

detail::StorageRef storage_exported_at(const void* address) {
  const auto* wanted = static_cast<const std::byte*>(address);
  Table& exports = table();
  const std::lock_guard lock(exports.mutex);
  auto at = exports.storages.lower_bound({wanted + 1, nullptr});
  if (at == exports.storages.begin()) return {};
  --at;
  if (wanted >= at->second.end) return {};
  detail::retain(at->first.second);
  return detail::StorageRef(at->first.second);
}

}  // namespace tensorbroker::python
