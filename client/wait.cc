#include "client/wait.h"

#include <tensorbroker/error.h>

#include <cmath>
#include <optional>
#include <string>

#include "client/sleeper.h"
#include "client/waiting.h"
#include "proto/futex.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

// Whose version is waited for.
struct Wanted {
  std::string_view name;
  std::uint64_t hash = 0;
  std::uint64_t newer_than = 0;
};

// Asks the broker, and so reads the clock, only where one look settles nothing.
detail::StorageRef look(Attachment& attachment, const Wanted& wanted, const Client::Impl& client) {
  detail::StorageRef found;
  const LookupStatus status = attachment.try_lease_by_name(wanted.name, wanted.hash, &found);
  if (status != LookupStatus::kHeld && status != LookupStatus::kMissing) {
    found = attachment.lease_by_name(wanted.name, wanted.hash, client.limit());
  }
  if (found && version_of(found->generation()) <= wanted.newer_than) found = {};
  return found;
}

// Empty when the time has passed. The word is read before the look: a publication in between ends the sleep at once.
// Who spins is not counted, so that nobody is made to call the kernel for it. Who sleeps is, before the kernel looks at
// the word once more: either that sees the publication, or whoever publishes sees the count (Dekker).
detail::StorageRef wait_in(Attachment& attachment, const Sleeper& sleeper, const Wanted& wanted, Spinning& spinning,
                           const Client::Impl& client) {
  const Attachment::Use use(attachment);
  std::optional<Waiting> counted;
  const Word& word = attachment.catalog().wait_word(wanted.hash);
  for (bool has_changed = false;;) {
    const bool last_look = !has_changed && sleeper.is_late();
    const std::uint32_t value = futex_value(word);
    if (detail::StorageRef found = look(attachment, wanted, client)) return found;
    if (last_look) return {};
    has_changed = !counted && sleeper.spin(attachment, word, value, spinning);
    if (has_changed) {
      attachment.catalog().fetch_published(wanted.hash);
      continue;
    }
    if (!counted) counted.emplace(attachment);
    sleeper.sleep(attachment, word, value);
  }
}

Spinning to_spinning(const WaitOptions& options) {
  if (!std::isfinite(options.spin.count()) || options.spin.count() < 0) {
    throw InvalidArgumentError("spin must be finite seconds from 0 up, such as 50e-6, not " +
                               std::to_string(options.spin.count()));
  }
  return {.end = Limit::in(options.spin).deadline};
}

}  // namespace

detail::StorageRef wait_newer(Client::Impl& client, std::string_view name, std::uint64_t newer_than,
                              Client::Timeout timeout, const WaitOptions& options, const InterruptCheck& check) {
  check_name(name);
  Spinning spinning = to_spinning(options);
  const Sleeper sleeper(client, limit_of(timeout), check);
  const Wanted wanted{name, hash_name(name), newer_than};
  for (;;) {
    Attachment& attachment = sleeper.current();
    try {
      if (!attachment.has_ended()) return wait_in(attachment, sleeper, wanted, spinning, client);
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
