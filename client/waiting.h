// Counts a waiter in its session: the broker makes no futex call where there is none. Private to client/.
//
// Keeps the attachment's mappings while it lives. Not shared between threads.

#ifndef TENSORBROKER_CLIENT_WAITING_H_
#define TENSORBROKER_CLIENT_WAITING_H_

#include "client/attachment.h"

namespace tensorbroker {

class Waiting {
 public:
  // Throws InstanceEnded where the mappings are gone.
  explicit Waiting(Attachment& attachment) : use_(attachment) { use_->control().waiters.fetch_add(1); }
  ~Waiting() {
    if (counted_) use_->control().waiters.fetch_sub(1);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

  Attachment& operator*() const noexcept { return *use_; }
  Attachment* operator->() const noexcept { return use_.operator->(); }

  // In a forked child, whose session counts none of the parent's.
  void forget_count() noexcept { counted_ = false; }

 private:
  const Attachment::Use use_;
  bool counted_ = true;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_WAITING_H_
