// Reading: by name without a system call or message; by handle likewise, while what it names is not replaced.

#include <tensorbroker/client.h>

#include <utility>

#include "client/client_impl.h"
#include "client/decode.h"
#include "client/listing.h"
#include "client/open.h"
#include "client/wait.h"

namespace tensorbroker {
namespace {

using detail::StorageRef;

Tensor tensor_of(StorageRef storage, std::string_view name) {
  if (storage->state().is_bundle) {
    throw RuntimeError("'" + std::string(name) + "' is a bundle; use get_bundle()");
  }
  return decode_tensor(std::move(storage));
}

Bundle bundle_of(StorageRef storage, std::string_view name) {
  if (!storage->state().is_bundle) {
    throw RuntimeError("'" + std::string(name) + "' is a tensor, not a bundle; use get()");
  }
  return Bundle(std::move(storage));
}

}  // namespace

Tensor Client::get(std::string_view name) const {
  StorageRef storage = impl_->lease(name);
  if (!storage) impl_->throw_not_found(name);
  return tensor_of(std::move(storage), name);
}

Bundle Client::get_bundle(std::string_view name) const {
  StorageRef storage = impl_->lease(name);
  if (!storage) impl_->throw_not_found(name);
  return bundle_of(std::move(storage), name);
}

std::optional<Tensor> Client::find(std::string_view name) const {
  StorageRef storage = impl_->lease(name);
  if (!storage) return std::nullopt;
  return tensor_of(std::move(storage), name);
}

std::optional<Object> Client::find_object(std::string_view name) const {
  StorageRef storage = impl_->lease(name);
  if (!storage) return std::nullopt;
  return decode_object(std::move(storage));
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
                                          const InterruptCheck& check, const WaitOptions& options) const {
  StorageRef storage = wait_newer(*impl_, name, newer_than, timeout, options, check);
  if (!storage) return std::nullopt;
  return decode_object(std::move(storage));
}

std::optional<Tensor> Client::wait(std::string_view name, std::uint64_t newer_than, Timeout timeout,
                                   const WaitOptions& options) const {
  StorageRef storage = wait_newer(*impl_, name, newer_than, timeout, options, {});
  if (!storage) return std::nullopt;
  return tensor_of(std::move(storage), name);
}

std::optional<Bundle> Client::wait_bundle(std::string_view name, std::uint64_t newer_than, Timeout timeout,
                                          const WaitOptions& options) const {
  StorageRef storage = wait_newer(*impl_, name, newer_than, timeout, options, {});
  if (!storage) return std::nullopt;
  return bundle_of(std::move(storage), name);
}

}  // namespace tensorbroker
