#include "client/sleeper.h"

#include <chrono>
#include <thread>

#include "proto/futex.h"
#include "proto/pause.h"

namespace tensorbroker {
namespace {

constexpr std::chrono::milliseconds kSlice{1000};
// Between two looks for a broker where none is there and none may be started.
constexpr std::chrono::milliseconds kWithoutBroker{100};

constexpr std::chrono::duration<double> kForEver{1e9};

// Of spinning, between two looks around: no signal interrupts it.
constexpr std::chrono::milliseconds kSpinSlice{4};
// Looks at the word for one at the clock, which takes as long as several of them.
constexpr int kLooks = 32;

bool changes_soon(const Word& word, std::uint32_t value) noexcept {
  for (int i = 0; i < kLooks; ++i) {
    if (futex_value(word) != value) return true;
    pause_core();
  }
  return false;
}

}  // namespace

Limit limit_of(Client::Timeout timeout) { return Limit::in(timeout.value_or(kForEver)); }

// Many short waits must find a dead broker as one long one does: so the look is due by the attachment's clock.
void Sleeper::look_after_broker(Attachment& attachment) const {
  if (attachment.look_is_due()) attachment.look_after_broker(client_.limit().at_most(within(kSlice)));
}

void Sleeper::sleep(Attachment& attachment, const Word& word, std::uint32_t value) const {
  look_after_broker(attachment);
  if (!client_.is_closed()) futex_wait(word, value, within(kSlice));
  look_around();
}

// The clock comes before the word: a word that changes all the time ends neither the time nor the looks around.
bool Sleeper::spin(Attachment& attachment, const Word& word, std::uint32_t value, Spinning& spinning) const {
  const Limit::Clock::time_point end = std::min(spinning.end, limit_.deadline);
  do {
    const Limit::Clock::time_point now = Limit::Clock::now();
    if (now >= end) return false;
    if (attachment.has_ended()) throw InstanceEnded("the instance ended; connect again");
    if (client_.is_closed() || now >= spinning.slice_end) {
      look_around();
      look_after_broker(attachment);
      spinning.slice_end = now + kSpinSlice;
    }
  } while (!changes_soon(word, value));
  return true;
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
