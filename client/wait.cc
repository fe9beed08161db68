#include "client/wait.h"

#include <chrono>

#include "client/sleeper.h"
#include "client/waiting.h"
#include "proto/futex.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

// Empty when the time has passed. The word is read before the look: a publication in between ends the sleep at once.
detail::StorageRef wait_in(Attachment& attachment, const Sleeper& sleeper, std::string_view name, std::uint64_t hash,
                           std::uint64_t newer_than, Client::Impl& client) {
  const Waiting waiting(attachment);
  const Word& word = attachment.catalog().wait_word(hash);
  for (;;) {
    const bool last_look = sleeper.is_late();
    const std::uint32_t value = futex_value(word);
    detail::StorageRef storage = attachment.lease_by_name(name, hash, client.limit());
    if (storage && version_of(storage->generation()) > newer_than) return storage;
    storage = {};
    if (last_look) return {};
    sleeper.sleep(attachment, word, value);
  }
}

}  // namespace

detail::StorageRef wait_newer(Client::Impl& client, std::string_view name, std::uint64_t newer_than,
                              Client::Timeout timeout, const InterruptCheck& check) {
  check_name(name);
  const Sleeper sleeper(client, limit_of(timeout), check);
  const std::uint64_t hash = hash_name(name);
  for (;;) {
    Attachment& attachment = sleeper.current();
    try {
      if (!attachment.has_ended()) return wait_in(attachment, sleeper, name, hash, newer_than, client);
    } catch (const InstanceEnded&) {  // the next instance has the name's next version
    }
    if (!sleeper.attach_anew(attachment)) return {};
  }
}

LookupStatus look_at_once(Client::Impl& client, std::string_view name, detail::StorageRef* found) {
  check_name(name);
  const Client::Impl::Use connection(client);
  Attachment& attachment = connection->current();
  if (attachment.has_ended()) return LookupStatus::kClosed;
  return attachment.try_lease_by_name(name, hash_name(name), found);
}

}  // namespace tensorbroker
