#include "client/wait.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "client/waiting.h"
#include "proto/futex.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

constexpr std::chrono::milliseconds kSlice{1000};
// Between two looks for a broker where none is there and none may be started.
constexpr std::chrono::milliseconds kWithoutBroker{100};
constexpr double kForEver = 1e9;  // seconds

class Wait {
 public:
  Wait(Client::Impl& client, std::string_view name, std::uint64_t newer_than, const Limit& limit,
       const InterruptCheck& check)
      : client_(client),
        connection_(client),
        name_(name),
        hash_(hash_name(name)),
        newer_than_(newer_than),
        limit_(limit),
        check_(check) {}

  detail::StorageRef run() {
    for (;;) {
      Attachment& attachment = connection_->current();
      try {
        if (!attachment.has_ended()) return wait_in(attachment);
      } catch (const InstanceEnded&) {  // the next instance has the name's next version
      }
      if (!attach_anew(attachment)) return {};
    }
  }

 private:
  // Empty when the time has passed. The word is read before the look: a publication in between ends the sleep at once.
  detail::StorageRef wait_in(Attachment& attachment) {
    const Waiting waiting(attachment);
    const Word& word = attachment.catalog().wait_word(hash_);
    for (;;) {
      const bool last_look = limit_.passed();
      const std::uint32_t value = futex_value(word);
      detail::StorageRef storage = attachment.lease_by_name(name_, hash_, client_.limit());
      if (storage && version_of(storage->generation()) > newer_than_) return storage;
      storage = {};
      if (last_look) return {};
      // Many short waits must find a dead broker as one long one does: so the look is due by the attachment's clock.
      if (attachment.look_is_due()) attachment.look_after_broker(client_.limit().at_most(within(kSlice)));
      if (!client_.is_closed()) futex_wait(word, value, within(kSlice));
      look_around();
    }
  }

  // False when the time has passed first.
  bool attach_anew(const Attachment& ended) {
    for (;;) {
      look_around();
      try {
        connection_->renew(ended, client_.limit().at_most(within(kSlice)));
        return true;
      } catch (const BrokerUnavailableError&) {  // nobody there yet
      }
      if (limit_.passed()) return false;
      std::this_thread::sleep_for(within(kWithoutBroker));
    }
  }

  void look_around() const {
    if (client_.is_closed()) client_.throw_closed();
    if (check_) check_();
  }

  Limit::Clock::duration within(Limit::Clock::duration time) const { return std::min(time, limit_.remaining()); }

  Client::Impl& client_;
  const Client::Impl::Use connection_;
  const std::string_view name_;
  const std::uint64_t hash_;
  const std::uint64_t newer_than_;
  const Limit limit_;
  const InterruptCheck& check_;
};

}  // namespace

detail::StorageRef wait_newer(Client::Impl& client, std::string_view name, std::uint64_t newer_than,
                              Client::Timeout timeout, const InterruptCheck& check) {
  check_name(name);
  const Limit limit = Limit::in(timeout.value_or(std::chrono::duration<double>(kForEver)));
  return Wait(client, name, newer_than, limit, check).run();
}

LookupStatus look_at_once(Client::Impl& client, std::string_view name, detail::StorageRef* found) {
  check_name(name);
  const Client::Impl::Use connection(client);
  Attachment& attachment = connection->current();
  if (attachment.has_ended()) return LookupStatus::kClosed;
  return attachment.try_lease_by_name(name, hash_name(name), found);
}

}  // namespace tensorbroker
