#include "client/pending_puts.h"

#include <tensorbroker/error.h>

#include <utility>

#include "client/fork.h"

namespace tensorbroker {

// One batch that was sent last, and one that is sent while that is answered; each has one publication.
struct PendingPuts::Line {
  explicit Line(Attachment& used) : attachment(used), keep(used), batches{PublishBatch(used), PublishBatch(used)} {}

  Attachment& attachment;
  const Attachment::Keep keep;  // what is on its way needs the mappings
  std::array<PublishBatch, 2> batches;
  std::array<std::string, 2> names;  // of theirs
  std::size_t next = 0;
  std::vector<detail::StorageRef> published;
};

PendingPuts::PendingPuts() : forks_(forks_so_far()) {}

PendingPuts::~PendingPuts() = default;

bool PendingPuts::are_of_this_process() const noexcept { return forks_ == forks_so_far(); }

PendingPuts::Held PendingPuts::hold(const Limit& limit) {
  Held held(mutex_, limit.deadline);
  if (!held) throw NothingSent("other threads' puts were not answered in time");
  return held;
}

PendingPuts::Line& PendingPuts::line_to(Attachment& attachment, const Limit& limit) {
  if (line_ && &line_->attachment != &attachment) settle_all(limit);
  if (!line_) line_ = std::make_unique<Line>(attachment);
  return *line_;
}

void PendingPuts::put(Attachment& attachment, const Publication& publication, const Fill& fill, const Limit& limit) {
  check_free(attachment, publication.name, publication.overwrite, limit);
  const Block block = allocate_filled(attachment, publication, fill, limit);
  bool taken = false;
  try {
    const Held held = hold(limit);
    if (closed_) throw ClosedError("the client was closed");
    Line& line = line_to(attachment, limit);
    line.names.at(line.next) = publication.name;
    Publication named = publication;
    named.name = line.names.at(line.next);
    line.batches.at(line.next).add(block, named, {publication.header.begin(), publication.header.end()});
    taken = true;
    send(line, limit);
  } catch (...) {
    if (!taken) attachment.discard(block);
    throw;
  }
}

// The next one goes out before the last one's answer is waited for.
void PendingPuts::send(Line& line, const Limit& limit) {
  PublishBatch& batch = line.batches.at(line.next);
  const std::size_t last = 1 - line.next;
  try {
    batch.send_after(line.batches.at(last), limit, &line.published, [&] { settle(line, last, limit); });
  } catch (...) {
    batch.drop_unsent();
    throw;
  }
  // With no connection to go out on it was not sent, and is now: what becomes of it is this call's to say.
  if (!batch.is_on_its_way()) batch.settle(limit, &line.published);
  line.published.clear();
  line.next = last;
  on_their_way_.store(true, std::memory_order_release);
}

void PendingPuts::settle(Line& line, std::size_t which, const Limit& limit) noexcept {
  try {
    line.batches.at(which).settle(limit, &line.published);
  } catch (...) {
    if (!first_error_) first_error_ = std::current_exception();
  }
  line.published.clear();
}

void PendingPuts::settle_all(const Limit& limit) noexcept {
  if (!line_) return;
  settle(*line_, line_->next, limit);
  settle(*line_, 1 - line_->next, limit);
  line_.reset();
  on_their_way_.store(false, std::memory_order_release);
}

// Who is inside ends soon: the client says that it is closed.
void PendingPuts::close(const Limit& limit) noexcept {
  const std::lock_guard held(mutex_);
  settle_all(limit);
  closed_ = true;
}

void PendingPuts::settle(const Limit& limit) {
  if (!on_their_way_.load(std::memory_order_acquire)) return;
  const Held held = hold(limit);
  settle_all(limit);
}

void PendingPuts::flush(const Limit& limit) {
  const Held held = hold(limit);
  settle_all(limit);
  if (const auto error = std::exchange(first_error_, nullptr)) std::rethrow_exception(error);
}

}  // namespace tensorbroker
