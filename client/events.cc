#include <tensorbroker/events.h>

#include <string>
#include <utility>

#include "client/client_impl.h"
#include "client/sleeper.h"
#include "client/waiting.h"
#include "proto/event_ring.h"
#include "proto/futex.h"
#include "proto/name.h"

namespace tensorbroker {

class Events::Reader {
 public:
  Reader(const Client& client, std::string_view prefix) : client_(client.impl()), prefix_(prefix) {
    if (!prefix.empty()) check_name(prefix);
    client_->with_attachment([this](Attachment& attachment, const Limit&) { start(attachment); });
  }

  std::optional<Event> next(Client::Timeout timeout, const InterruptCheck& check) {
    const Sleeper sleeper(*client_, limit_of(timeout), check);
    for (;;) {
      Attachment& attachment = sleeper.current();
      try {
        if (!attachment.has_ended()) return next_in(attachment, sleeper);
      } catch (const InstanceEnded&) {  // the next instance begins with an overflow
      }
      if (!sleeper.attach_anew(attachment)) return std::nullopt;
    }
  }

 private:
  void start(const Attachment& attachment) {
    instance_ = attachment.instance_id();
    read_ = attachment.catalog().events().count->load(std::memory_order_acquire);
  }

  Event overflow(const Attachment& attachment) {
    start(attachment);
    return {};
  }

  // The word is read before the look: an event in between ends the sleep at once.
  std::optional<Event> next_in(Attachment& attachment, const Sleeper& sleeper) {
    const Waiting waiting(attachment);
    if (attachment.instance_id() != instance_) return overflow(attachment);
    const EventRing& ring = attachment.catalog().events();
    const Word& changes = attachment.catalog().root().changes;
    for (;;) {
      const bool last_look = sleeper.is_late();
      const std::uint32_t value = futex_value(changes);
      const std::uint64_t count = ring.count->load(std::memory_order_acquire);
      while (read_ < count) {
        const std::optional<EventFields> fields = read_event(ring, read_ + 1);
        if (!fields) return overflow(attachment);
        ++read_;
        if (fields->name.starts_with(prefix_)) return to_event(*fields);
      }
      if (attachment.has_ended()) throw InstanceEnded("the instance ended; connect again");
      if (last_look) return std::nullopt;
      sleeper.sleep(attachment, changes, value);
    }
  }

  static Event to_event(const EventFields& fields) {
    const EventKind kind = fields.type == EventType::kDelete ? EventKind::kDelete : EventKind::kPublish;
    return {kind, fields.name, fields.version};
  }

  std::shared_ptr<Client::Impl> client_;
  std::string prefix_;
  InstanceId instance_{};
  std::uint64_t read_ = 0;  // the number of the last event that was read
};

Events::Events(const Client& client, std::string_view prefix) : reader_(std::make_unique<Reader>(client, prefix)) {}
Events::Events(Events&&) noexcept = default;
Events& Events::operator=(Events&&) noexcept = default;
Events::~Events() = default;

std::optional<Event> Events::next(Client::Timeout timeout, const InterruptCheck& check) {
  return reader_->next(timeout, check);
}

}  // namespace tensorbroker
