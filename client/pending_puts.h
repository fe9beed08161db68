// The puts of a client that nobody waits for: each is sent at once, and answered while the next ones are copied.
//
// kMost are on their way at most, and of large ones two; who comes next waits for the first of them. What is answered
// is held, as the tensor that a put returns, until then (and counts: a quota of fewer tensors refuses some). What the
// broker refuses is noted, for flush() to throw. They belong to the process that made them: a forked child, in which
// their locks may be held, leaves them alone. Thread safe.

#ifndef TENSORBROKER_CLIENT_PENDING_PUTS_H_
#define TENSORBROKER_CLIENT_PENDING_PUTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/attachment.h"
#include "client/publish.h"
#include "client/publish_batch.h"

namespace tensorbroker {

class PendingPuts {
 public:
  static constexpr std::size_t kMost = 16;

  PendingPuts();
  ~PendingPuts();  // REQUIRES: closed
  PendingPuts(const PendingPuts&) = delete;
  PendingPuts& operator=(const PendingPuts&) = delete;

  // Whether this process made them.
  bool are_of_this_process() const noexcept;

  // Copies what is to be published, and sends it. Throws what prevented that: then there is nothing of it.
  void put(Attachment& attachment, const Publication& publication, const Fill& fill, const Limit& limit);
  // Waits for the answers of what is on its way, if anything is.
  void settle(const Limit& limit);
  // The same, and throws the first error since the last flush.
  void flush(const Limit& limit);
  // The same without throwing, for the last time: put() throws ClosedError from now on.
  void close(const Limit& limit) noexcept;

 private:
  using Held = std::unique_lock<std::timed_mutex>;
  struct Line;  // what is on its way to one attachment

  Held hold(const Limit& limit);
  Block allocate(Attachment& attachment, const Publication& publication, const Fill& fill, const Limit& limit);
  Line& line_to(Attachment& attachment, const Limit& limit);
  void send(Line& line, const Limit& limit);
  void make_room(Line& line, std::uint64_t nbytes, const Limit& limit) noexcept;
  void settle_oldest(Line& line, const Limit& limit) noexcept;
  void settle_all(Line& line, const Limit& limit) noexcept;
  void end_line(const Limit& limit) noexcept;

  const std::uint64_t forks_;
  std::atomic<bool> on_their_way_{false};  // changed under the lock
  std::timed_mutex mutex_;                 // guards what follows
  bool closed_ = false;
  std::unique_ptr<Line> line_;
  std::exception_ptr first_error_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_PENDING_PUTS_H_
