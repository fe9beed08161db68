#include "client/pending_puts.h"

#include <tensorbroker/error.h>

#include <deque>
#include <utility>

#include "client/fork.h"

namespace tensorbroker {

// A ring of batches of one publication each: those that were sent, from the oldest on, and then those that are free.
struct PendingPuts::Line {
  struct Put {
    explicit Put(Attachment& used) : batch(used, 1) {}
    PublishBatch batch;
    std::string name;
    std::uint64_t nbytes = 0;
  };

  explicit Line(Attachment& used) : attachment(used), keep(used) {
    for (std::size_t i = 0; i < kMost; ++i) puts.emplace_back(used);
  }
  Put& next() { return puts[(oldest + sent) % kMost]; }
  const Put& last() const { return puts[(oldest + sent + kMost - 1) % kMost]; }  // that was sent, if any is on its way

  Attachment& attachment;
  const Attachment::Keep keep;  // what is on its way needs the mappings
  std::deque<Put> puts;         // kMost, which never move
  std::size_t oldest = 0;
  std::size_t sent = 0;
  std::uint64_t nbytes = 0;  // of those that were sent
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
  if (line_ && &line_->attachment != &attachment) end_line(limit);
  if (!line_) line_ = std::make_unique<Line>(attachment);
  on_their_way_.store(true, std::memory_order_release);
  return *line_;
}

// What those on their way hold, or have replaced, may be what is wanting.
Block PendingPuts::allocate(Attachment& attachment, const Publication& publication, const Fill& fill,
                            const Limit& limit) {
  try {
    return allocate_filled(attachment, publication, fill, limit);
  } catch (const OutOfMemoryError&) {
    if (!on_their_way_.load(std::memory_order_acquire)) throw;
  }
  settle(limit);
  return allocate_filled(attachment, publication, fill, limit);
}

void PendingPuts::put(Attachment& attachment, const Publication& publication, const Fill& fill, const Limit& limit) {
  check_free(attachment, publication.name, publication.overwrite, limit);
  const Block block = allocate(attachment, publication, fill, limit);
  bool taken = false;
  try {
    const Held held = hold(limit);
    if (closed_) throw ClosedError("the client was closed");
    Line& line = line_to(attachment, limit);
    make_room(line, publication.nbytes, limit);
    Line::Put& put = line.next();
    put.name = publication.name;
    put.nbytes = publication.nbytes;
    Publication named = publication;
    named.name = put.name;
    put.batch.add(block, named, {publication.header.begin(), publication.header.end()});
    taken = true;
    send(line, limit);
  } catch (...) {
    if (!taken) attachment.discard(block);
    throw;
  }
}

// One of any size is on its way while the next is sent. More of large ones would keep what they replaced from being
// used again.
void PendingPuts::make_room(Line& line, std::uint64_t nbytes, const Limit& limit) noexcept {
  while (line.sent == kMost || (line.sent > 1 && line.nbytes + nbytes > PublishBatch::kMostBytes)) {
    settle_oldest(line, limit);
  }
}

void PendingPuts::send(Line& line, const Limit& limit) {
  Line::Put& put = line.next();
  try {
    put.batch.send_after(line.last().batch, limit, &line.published, [&] { settle_all(line, limit); });
  } catch (...) {
    put.batch.drop_unsent();
    throw;
  }
  // With no connection to go out on it was not sent, and is now: what becomes of it is this call's to say.
  if (put.batch.is_on_its_way()) {
    ++line.sent;
    line.nbytes += put.nbytes;
  } else {
    put.batch.settle(limit, &line.published);
  }
  line.published.clear();
}

void PendingPuts::settle_oldest(Line& line, const Limit& limit) noexcept {
  Line::Put& put = line.puts[line.oldest];
  try {
    put.batch.settle(limit, &line.published);
  } catch (...) {
    if (!first_error_) first_error_ = std::current_exception();
  }
  line.published.clear();
  line.oldest = (line.oldest + 1) % kMost;
  --line.sent;
  line.nbytes -= put.nbytes;
}

void PendingPuts::settle_all(Line& line, const Limit& limit) noexcept {
  while (line.sent > 0) settle_oldest(line, limit);
}

void PendingPuts::end_line(const Limit& limit) noexcept {
  if (!line_) return;
  settle_all(*line_, limit);
  line_.reset();
  on_their_way_.store(false, std::memory_order_release);
}

// Who is inside ends soon: the client says that it is closed.
void PendingPuts::close(const Limit& limit) noexcept {
  const std::lock_guard held(mutex_);
  end_line(limit);
  closed_ = true;
}

void PendingPuts::settle(const Limit& limit) {
  if (!on_their_way_.load(std::memory_order_acquire)) return;
  const Held held = hold(limit);
  end_line(limit);
}

void PendingPuts::flush(const Limit& limit) {
  const Held held = hold(limit);
  end_line(limit);
  if (const auto error = std::exchange(first_error_, nullptr)) std::rethrow_exception(error);
}

}  // namespace tensorbroker
