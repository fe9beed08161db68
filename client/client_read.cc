// Reading: by name without a system call or message; by handle likewise, while what it names is not replaced.

#include <tensorbroker/client.h>

#include "client/client_impl.h"
#include "client/decode.h"
#include "client/handle.h"
#include "client/listing.h"
#include "client/wait.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

using detail::Storage;
using detail::StorageRef;

Tensor tensor_of(const StorageRef& storage, std::string_view name) {
  if (storage->state().is_bundle) {
    throw RuntimeError("'" + std::string(name) + "' is a bundle; use get_bundle()");
  }
  return decode_tensor(storage);
}

Bundle bundle_of(const StorageRef& storage, std::string_view name) {
  if (!storage->state().is_bundle) {
    throw RuntimeError("'" + std::string(name) + "' is a tensor, not a bundle; use get()");
  }
  return Bundle(storage);
}

[[noreturn]] void throw_gone(std::string_view handle, const std::string& why) {
  throw NotFoundError("what the handle '" + std::string(handle) + "' names is gone" + why);
}

StorageRef lease_handle(Attachment& attachment, std::string_view text, const Handle& handle, const Limit& limit) {
  if (handle.instance != attachment.name().instance) {
    throw_gone(text, ": it is of the instance '" + handle.instance + "', and this client of '" +
                         attachment.name().instance + "'");
  }
  if (handle.instance_key != instance_key(attachment.instance_id())) {
    throw_gone(text, ": that instance ended, and another of its name began");
  }
  StorageRef storage = attachment.lease_by_handle(handle.entry, handle.version, limit);
  if (!storage) throw_gone(text, "");
  return storage;
}

StorageRef in_mode(Attachment& attachment, const StorageRef& storage, OpenMode mode, const Limit& limit) {
  switch (mode) {
    case OpenMode::kReadWrite:
      return attachment.open_writable(storage, limit);
    case OpenMode::kCopyOnWrite:
      return Storage::private_copy(storage, false);
    case OpenMode::kRead:
      break;
  }
  return storage;
}

// Opens a name or handle. The header is verified before anything is opened for writing.
StorageRef open_storage(Client::Impl& client, std::string_view name_or_handle, OpenMode mode) {
  const bool by_handle = is_handle(name_or_handle);
  const Handle handle = by_handle ? parse_handle(name_or_handle) : Handle{};
  if (!by_handle) check_name(name_or_handle);
  return client.with_attachment([&](Attachment& attachment, const Limit& limit) {
    const StorageRef storage = by_handle ? lease_handle(attachment, name_or_handle, handle, limit)
                                         : attachment.lease_by_name(name_or_handle, limit);
    if (!storage) client.throw_not_found(name_or_handle);
    verified_header(*storage.get());
    return in_mode(attachment, storage, mode, limit);
  });
}

}  // namespace

Tensor Client::get(std::string_view name) const {
  const StorageRef storage = impl_->lease(name);
  if (!storage) impl_->throw_not_found(name);
  return tensor_of(storage, name);
}

Bundle Client::get_bundle(std::string_view name) const {
  const StorageRef storage = impl_->lease(name);
  if (!storage) impl_->throw_not_found(name);
  return bundle_of(storage, name);
}

std::optional<Tensor> Client::find(std::string_view name) const {
  const StorageRef storage = impl_->lease(name);
  if (!storage) return std::nullopt;
  return tensor_of(storage, name);
}

std::optional<Object> Client::find_object(std::string_view name) const {
  const StorageRef storage = impl_->lease(name);
  if (!storage) return std::nullopt;
  return decode_object(storage);
}

Tensor Client::open(std::string_view name_or_handle, OpenMode mode) const {
  return tensor_of(open_storage(*impl_, name_or_handle, mode), name_or_handle);
}

Object Client::open_object(std::string_view name_or_handle, OpenMode mode) const {
  return decode_object(open_storage(*impl_, name_or_handle, mode));
}

bool Client::exists(std::string_view name) const { return static_cast<bool>(impl_->lease(name)); }

std::vector<Info> Client::list(std::string_view prefix) const {
  return impl_->with_attachment(
      [&](Attachment& attachment, const Limit& limit) { return list_entries(attachment, prefix, limit); });
}

std::optional<Object> Client::wait_object(std::string_view name, std::uint64_t newer_than, Timeout timeout,
                                          const InterruptCheck& check) const {
  const StorageRef storage = wait_newer(*impl_, name, newer_than, timeout, check);
  if (!storage) return std::nullopt;
  return decode_object(storage);
}

std::optional<Tensor> Client::wait(std::string_view name, std::uint64_t newer_than, Timeout timeout) const {
  const StorageRef storage = wait_newer(*impl_, name, newer_than, timeout, {});
  if (!storage) return std::nullopt;
  return tensor_of(storage, name);
}

std::optional<Bundle> Client::wait_bundle(std::string_view name, std::uint64_t newer_than, Timeout timeout) const {
  const StorageRef storage = wait_newer(*impl_, name, newer_than, timeout, {});
  if (!storage) return std::nullopt;
  return bundle_of(storage, name);
}

}  // namespace tensorbroker
