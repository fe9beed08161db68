// What every wait for the catalog has in common: sleeping on one of its futex words, or spinning on it, in slices, with
// a look in between at the caller's interrupt check, at the client, and at the broker, which gets a successor where it
// was killed.
//
// For one thread at a time. Holds the connection of its client.

#ifndef TENSORBROKER_CLIENT_SLEEPER_H_
#define TENSORBROKER_CLIENT_SLEEPER_H_

#include <algorithm>
#include <cstdint>

#include "client/attachment.h"
#include "client/client_impl.h"
#include "client/limit.h"
#include "proto/catalog_layout.h"

namespace tensorbroker {

// Absent: for ever.
Limit limit_of(Client::Timeout timeout);

// Of one wait, however often its spinning is interrupted.
struct Spinning {
  Limit::Clock::time_point end;
  Limit::Clock::time_point slice_end{};  // when to look around next
};

class Sleeper {
 public:
  // Throws ClosedError. `check` must outlive it.
  Sleeper(Client::Impl& client, const Limit& limit, const InterruptCheck& check)
      : client_(client), connection_(client), limit_(limit), check_(check) {}

  Attachment& current() const noexcept { return connection_->current(); }
  bool is_late() const { return limit_.passed(); }

  // Sleeps for a slice, unless the word's value is not `value` any more. Throws what the check throws, ClosedError
  // where the client is closed, InstanceEnded. REQUIRES: a Waiting on the attachment, older than the value.
  void sleep(Attachment& attachment, const Word& word, std::uint32_t value) const;

  // Looks at the word busily. True once its value is not `value` any more; false when `spinning` or the time is over.
  // Throws as sleep() does. REQUIRES: a Use of the attachment; it needs no Waiting.
  bool spin(Attachment& attachment, const Word& word, std::uint32_t value, Spinning& spinning) const;

  // Attaches to whoever is there after the end of an instance. False when the time has passed first.
  bool attach_anew(const Attachment& ended) const;

 private:
  void look_around() const;
  void look_after_broker(Attachment& attachment) const;
  Limit::Clock::duration within(Limit::Clock::duration time) const { return std::min(time, limit_.remaining()); }

  Client::Impl& client_;
  const Client::Impl::Use connection_;
  const Limit limit_;
  const InterruptCheck& check_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_SLEEPER_H_
