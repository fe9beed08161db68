// Puts that are not waited for, and their end.

#include <tensorbroker/client.h>

#include "client/client_impl.h"

namespace tensorbroker {

// Those of the process that this one was forked from are left where they are: their locks may be held for ever.
PendingPuts* Client::Impl::pending() const noexcept {
  PendingPuts* const puts = pending_.load(std::memory_order_acquire);
  return puts != nullptr && puts->are_of_this_process() ? puts : nullptr;
}

PendingPuts& Client::Impl::make_pending() {
  if (PendingPuts* const puts = pending()) return *puts;
  const auto delete_own = [](PendingPuts* puts) {
    if (puts->are_of_this_process()) delete puts;
  };
  const std::shared_ptr<PendingPuts> made(new PendingPuts, delete_own);
  PendingPuts* known = pending_.load(std::memory_order_acquire);
  while (known == nullptr || !known->are_of_this_process()) {
    if (!pending_.compare_exchange_weak(known, made.get(), std::memory_order_acq_rel)) continue;
    limits_->pending.store(made);
    return *made;
  }
  return *known;
}

void Client::Impl::put_nowait(const Publication& publication, const Fill& fill) {
  with_attachment(
      [&](Attachment& attachment, const Limit& within) { make_pending().put(attachment, publication, fill, within); });
}

void Client::Impl::flush() {
  const Use connection(*this);
  if (PendingPuts* const puts = pending()) puts->flush(limit());
}

// Nobody is left to be told what was refused. What is on its way keeps its attachment itself.
void Client::Impl::close_pending(const Limit& limit) noexcept {
  if (PendingPuts* const puts = pending()) puts->close(limit);
}

void Client::flush() { impl_->flush(); }

}  // namespace tensorbroker
