// What only the broker knows or does.

#include <tensorbroker/client.h>

#include "client/client_impl.h"
#include "client/handle.h"

namespace tensorbroker {

Stats Client::stats() {
  return impl_->with_attachment(
      [](Attachment& attachment, const Limit& limit) { return attachment.calls().stats(limit); });
}

std::uint64_t Client::holders(const Info& info) {
  const Handle handle = parse_handle(info.handle);
  return impl_->with_attachment([&](Attachment& attachment, const Limit& limit) -> std::uint64_t {
    if (handle.instance_key != instance_key(attachment.instance_id())) return 0;
    return attachment.calls().holders(handle.entry, live(handle.version << 1), limit);
  });
}

void Client::reserve(std::uint64_t nbytes) {
  impl_->with_attachment([&](Attachment& attachment, const Limit& limit) { attachment.reserve(nbytes, limit); });
}

void Client::stop_broker(bool keep) {
  impl_->with_attachment([&](Attachment& attachment, const Limit& limit) { attachment.calls().stop(keep, limit); });
}

}  // namespace tensorbroker
