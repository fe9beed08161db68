#include "client/open.h"

#include <sys/random.h>

#include <string>

#include "client/client_impl.h"
#include "client/decode.h"
#include "client/handle.h"
#include "client/open_clients.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

using detail::Storage;
using detail::StorageRef;

[[noreturn]] void throw_gone(std::string_view handle, const std::string& why) {
  throw NotFoundError("what the handle '" + std::string(handle) + "' names is gone" + why);
}

void check_same_instance(const Attachment& attachment, std::string_view text, const Handle& handle) {
  if (handle.instance != attachment.name().instance) {
    throw_gone(text, ": it is of the instance '" + handle.instance + "', and this client of '" +
                         attachment.name().instance + "'");
  }
  if (handle.instance_key != instance_key(attachment.instance_id())) {
    throw_gone(text, ": that instance ended, and another of its name began");
  }
}

// `token`: 0, or of what was sent.
StorageRef lease_handle(Attachment& attachment, std::string_view text, const Handle& handle, std::uint64_t token,
                        const Limit& limit) {
  check_same_instance(attachment, text, handle);
  StorageRef storage = token == 0 ? attachment.lease_by_handle(handle.entry, handle.version, limit)
                                  : attachment.receive(handle.entry, handle.version, token, limit);
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

// The header is verified before anything is opened for writing.
StorageRef open_handle(Client::Impl& client, std::string_view text, const Handle& handle, OpenMode mode,
                       std::uint64_t token) {
  return client.with_attachment([&](Attachment& attachment, const Limit& limit) {
    const StorageRef storage = lease_handle(attachment, text, handle, token, limit);
    (void)VerifiedHeader(*storage.get());
    return in_mode(attachment, storage, mode, limit);
  });
}

std::uint64_t new_token() {
  std::uint64_t token = 0;
  while (token == 0) {
    if (getrandom(&token, sizeof token, 0) != sizeof token) {
      throw Error(ErrorCode::kRuntime, "the kernel gives no random bytes (getrandom)");
    }
  }
  return token;
}

}  // namespace

StorageRef open_storage(Client::Impl& client, std::string_view name_or_handle, OpenMode mode) {
  if (is_handle(name_or_handle)) return open_handle(client, name_or_handle, parse_handle(name_or_handle), mode, 0);
  check_name(name_or_handle);
  return client.with_attachment([&](Attachment& attachment, const Limit& limit) {
    const StorageRef storage = attachment.lease_by_name(name_or_handle, limit);
    if (!storage) client.throw_not_found(name_or_handle);
    (void)VerifiedHeader(*storage.get());
    return in_mode(attachment, storage, mode, limit);
  });
}

std::uint64_t send(const StorageRef& storage) {
  storage->check_usable();
  Attachment& attachment = *storage->attachment();
  if (is_live(attachment.catalog().entry(storage->entry()).generation.load(std::memory_order_seq_cst))) return 0;
  const std::string& instance = attachment.name().instance;
  const std::optional<Client> client = find_open_client(instance);
  if (!client) throw ClosedError("every client of instance '" + instance + "' was closed; connect again and repeat");
  const std::uint64_t token = new_token();
  attachment.send(*storage.get(), token, client->impl()->limit());
  return token;
}

Object receive(Client& client, std::string_view handle, std::uint64_t token) {
  const Handle parsed = parse_handle(handle);
  return decode_object(open_handle(*client.impl(), handle, parsed, parsed.mode, token));
}

}  // namespace tensorbroker
