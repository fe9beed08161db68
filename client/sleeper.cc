#include "client/sleeper.h"

#include <chrono>
#include <thread>

#include "proto/futex.h"

namespace tensorbroker {
namespace {

constexpr std::chrono::milliseconds kSlice{1000};
// Between two looks for a broker where none is there and none may be started.
constexpr std::chrono::milliseconds kWithoutBroker{100};

constexpr std::chrono::duration<double> kForEver{1e9};

}  // namespace

Limit limit_of(Client::Timeout timeout) { return Limit::in(timeout.value_or(kForEver)); }

void Sleeper::sleep(Attachment& attachment, const Word& word, std::uint32_t value) const {
  // Many short waits must find a dead broker as one long one does: so the look is due by the attachment's clock.
  if (attachment.look_is_due()) attachment.look_after_broker(client_.limit().at_most(within(kSlice)));
  if (!client_.is_closed()) futex_wait(word, value, within(kSlice));
  look_around();
}

bool Sleeper::attach_anew(const Attachment& ended) const {
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

void Sleeper::look_around() const {
  if (client_.is_closed()) client_.throw_closed();
  if (check_) check_();
}

}  // namespace tensorbroker
