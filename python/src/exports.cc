#include "python/src/exports.h"

#include <pthread.h>

#include <map>
#include <mutex>

#include "client/storage.h"

namespace tensorbroker::python {
namespace {

struct Exported {
  const std::byte* begin;
  const std::byte* end;
  std::size_t times;
};

// Never destroyed: capsules may outlive everything.
struct Table {
  std::mutex mutex;
  std::map<detail::Storage*, Exported> storages;
};

Table& table() {
  static Table* const instance = [] {
    // A child must not inherit the lock from a thread that it does not have.
    pthread_atfork([] { table().mutex.lock(); }, [] { table().mutex.unlock(); }, [] { table().mutex.unlock(); });
    return new Table;
  }();
  return *instance;
}

}  // namespace

void note_export(detail::Storage* storage) {
  Table& exports = table();
  const std::lock_guard lock(exports.mutex);
  const Exported exported{storage->data(), storage->data() + storage->nbytes(), 0};
  ++exports.storages.try_emplace(storage, exported).first->second.times;
}

void forget_export(detail::Storage* storage) noexcept {
  Table& exports = table();
  const std::lock_guard lock(exports.mutex);
  const auto at = exports.storages.find(storage);
  if (at != exports.storages.end() && --at->second.times == 0) exports.storages.erase(at);
}

detail::StorageRef storage_exported_at(const void* address) {
  const auto* wanted = static_cast<const std::byte*>(address);
  Table& exports = table();
  const std::lock_guard lock(exports.mutex);
  for (const auto& [storage, exported] : exports.storages) {
    if (wanted < exported.begin || wanted >= exported.end) continue;
    detail::retain(storage);
    return detail::StorageRef(storage);
  }
  return {};
}

}  // namespace tensorbroker::python
