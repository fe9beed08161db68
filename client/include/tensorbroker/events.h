// Publications and deletions as they happen, of all names that begin with a prefix.
//
// An Events is for one thread at a time; its client may be used by others meanwhile. Reads the catalog without a
// message.

#ifndef TENSORBROKER_EVENTS_H_
#define TENSORBROKER_EVENTS_H_

#include <tensorbroker/client.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tensorbroker {

enum class EventKind : std::uint8_t {
  kPublish,   // a name has a new version, a replacement of what was there included
  kDelete,    // a name is gone
  kOverflow,  // events were missed: list again. What follows is newer than this event
};

struct Event {
  EventKind kind = EventKind::kOverflow;
  std::string name;           // "" for an overflow
  std::uint64_t version = 0;  // that was published or deleted; 0 for an overflow
};

class Events {
 public:
  // From now on. Throws ClosedError, and InvalidArgumentError for a prefix that is no UTF-8 text of at most 255 bytes.
  explicit Events(const Client& client, std::string_view prefix = {});
  Events(Events&&) noexcept;
  Events& operator=(Events&&) noexcept;
  ~Events();

  // The next event, in the order in which they happened; nullopt when `timeout` has passed (absent: waits for ever).
  // One kOverflow where the catalog, which keeps the last thousand, has gone on beyond it, where a killed broker's
  // successor began, and where the instance ended and another began. Throws ClosedError where the client is closed,
  // and whatever `check` throws.
  std::optional<Event> next(Client::Timeout timeout = {}, const InterruptCheck& check = {});

 private:
  class Reader;
  std::unique_ptr<Reader> reader_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_EVENTS_H_
