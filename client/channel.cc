#include "client/channel.h"

#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <utility>

#include "proto/frame.h"
#include "proto/pause.h"
#include "proto/schema/control_generated.h"
#include "proto/spin_budget.h"

namespace tensorbroker {

namespace {

// What a broker that is awake takes to answer, several times over.
constexpr std::chrono::microseconds kLook{30};
// The same for what was posted, which may be a batch.
constexpr std::chrono::microseconds kLookForPosted{250};
// A broker that does not read for so long will not miss what can be left unsaid.
constexpr std::chrono::seconds kMostForAPost{1};

}  // namespace

std::optional<std::uint64_t> reply_sequence(std::span<const std::byte> frame) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(frame.data()), frame.size(), kVerifierDepth,
                                 kVerifierTables);
  if (!verifier.VerifyBuffer<schema::ReplyMessage>(nullptr)) return std::nullopt;
  return flatbuffers::GetRoot<schema::ReplyMessage>(frame.data())->sequence();
}

struct Channel::Line {
  using Clock = std::chrono::steady_clock;

  Line(std::shared_ptr<Socket> used, std::uint64_t number, const CommandRings& rings)
      : socket(std::move(used)), epoch(number) {
    if (!rings.requests) return;
    requests.emplace(rings.requests);
    replies.emplace(rings.replies);
    replies->wake_up();
  }

  const std::shared_ptr<Socket> socket;
  const std::uint64_t epoch;

  Waiter& add_waiter(std::uint64_t sequence);
  void remove_waiter(std::uint64_t sequence);

  // Guarded by the channel's mutex_.
  std::map<std::uint64_t, Waiter> waiters;  // by sequence
  decltype(waiters)::node_type spare;       // of one that waits no more
  bool lost = false;
  bool has_reader = false;
  std::optional<RingWriter> requests;
  std::optional<RingReader> replies;       // of the thread that set has_reader, while one has
  bool asked_by_ring = false;              // by the request that was sent last
  std::chrono::microseconds look = kLook;  // for the reply to that
  SpinBudget spinning;                     // of the thread that set has_reader

  FrameReader reader;  // of the thread that set has_reader

  std::timed_mutex sending;  // held by whoever sends; the doorbell only tries it
  Frame cut_off;             // rest of a doorbell that went out in part, guarded by `sending`
  std::atomic<bool> ring_wanted{false};
};

Channel::Waiter& Channel::Line::add_waiter(std::uint64_t sequence) {
  if (spare.empty()) return waiters.try_emplace(sequence).first->second;
  spare.key() = sequence;
  return waiters.insert(std::move(spare)).position->second;
}

void Channel::Line::remove_waiter(std::uint64_t sequence) {
  spare = waiters.extract(sequence);
  Waiter& waiter = spare.mapped();
  waiter.frame.reset();
  waiter.file = {};
  waiter.kept = false;
}

// ---------------------------------------------------------------- the socket in use

std::uint64_t Channel::open(std::shared_ptr<Socket> socket, const CommandRings& rings) {
  const Held held(mutex_);
  if (line_) lose(*line_);
  socket_.store(socket.get(), std::memory_order_release);
  line_ = std::make_shared<Line>(std::move(socket), ++epochs_, rings);
  return epochs_;
}

void Channel::drop(std::uint64_t epoch) {
  const Held held(mutex_);
  if (!line_ || line_->epoch != epoch) return;
  lose(*line_);
  socket_.store(nullptr, std::memory_order_release);
  line_.reset();
}

void Channel::close_in_child() noexcept {
  const Socket* const socket = socket_.load(std::memory_order_acquire);
  if (socket != nullptr && socket->is_ours()) close(socket->fd());
}

std::shared_ptr<Channel::Line> Channel::line() const {
  const Held held(mutex_);
  return line_ && !line_->lost ? line_ : nullptr;
}

bool Channel::is_open() const { return line() != nullptr; }

std::uint64_t Channel::epoch() const {
  const auto used = line();
  return used ? used->epoch : 0;
}

std::uint64_t Channel::last_epoch() const {
  const Held held(mutex_);
  return epochs_;
}

void Channel::lose(Line& line) {
  if (line.lost) return;
  line.lost = true;
  line.socket->shut_down();
  for (auto& [sequence, waiter] : line.waiters) waiter.arrived.notify_all();
}

// ---------------------------------------------------------------- waiting for replies

Channel::Result Channel::call(std::uint64_t sequence, std::span<const std::byte> request, const Limit& limit) {
  Held held(mutex_);
  const auto used = line_;
  if (!used || used->lost) return {};
  used->add_waiter(sequence);
  const bool sent = send(*used, request, limit, held);
  if (!sent) lose(*used);
  Result result = wait(used, sequence, true, limit, held);
  result.was_sent = sent;
  return result;
}

Channel::Result Channel::take(std::uint64_t sequence, std::uint64_t epoch, const Limit& limit) {
  Held held(mutex_);
  const auto used = line_;
  if (!used || used->epoch != epoch || !used->waiters.contains(sequence)) return {};
  used->waiters.at(sequence).kept = false;
  return wait(used, sequence, false, limit, held);
}

Channel::Result Channel::wait(const std::shared_ptr<Line>& line, std::uint64_t sequence, bool drop_when_late,
                              const Limit& limit, Held& held) {
  Waiter& waiter = line->waiters.at(sequence);
  Result result;
  for (;;) {
    if (!line->has_reader) read_ring(*line);
    if (waiter.frame) {
      result = {Outcome::kReplied, std::move(*waiter.frame), std::move(waiter.file), line->epoch};
      break;
    }
    if (limit.is_closed() || limit.passed()) {
      result.outcome = limit.is_closed() ? Outcome::kClosed : Outcome::kTimedOut;
      if (!drop_when_late) {
        waiter.kept = true;
        hand_over(*line);
        return result;
      }
      lose(*line);
      break;
    }
    if (line->lost) break;
    const auto slice = std::min<Limit::Clock::duration>(kPollSlice, limit.remaining());
    if (line->has_reader) {
      waiter.arrived.wait_for(held, slice);
    } else {
      read_for_all(*line, slice, held);
    }
  }
  line->remove_waiter(sequence);
  hand_over(*line);
  return result;
}

void Channel::read_for_all(Line& line, Limit::Clock::duration slice, Held& held) {
  line.has_reader = true;
  bool in_time = false;
  if (line.asked_by_ring && slice > Limit::Clock::duration::zero()) {
    const auto look = line.look;
    held.unlock();
    in_time = ring_has_reply(line, look);
    held.lock();
  }
  const bool alive = in_time || sleep_and_read(line, slice, held);
  line.has_reader = false;
  read_ring(line);
  if (!in_time) dispatch(line);
  if (!alive || line.reader.is_malformed()) lose(line);
}

// Looks at the ring for as long as a broker takes that is awake, if looking has paid.
bool Channel::ring_has_reply(Line& line, std::chrono::microseconds look) {
  if (!has_processors_to_spare()) return false;
  auto now = Line::Clock::now();
  if (!line.spinning.allows(now)) return false;
  for (const auto until = now + look; now < until; now = Line::Clock::now()) {
    if (line.replies->has_more()) {
      line.spinning.paid();
      return true;
    }
    pause_core();
  }
  line.spinning.put_aside(now);  // it was looking when it was asked
  return false;
}

// False where the socket is lost. Its ring may then be another line's by now.
bool Channel::sleep_and_read(Line& line, Limit::Clock::duration slice, Held& held) {
  if (line.lost) return false;
  if (line.replies && !line.replies->fall_asleep()) return true;
  held.unlock();
  const bool alive = line.socket->poll(POLLIN, slice) && line.reader.read(*line.socket);
  held.lock();
  if (line.replies && !line.lost) line.replies->wake_up();
  return alive;
}

// A line that is lost has no rings any more: those may be another one's by now.
void Channel::read_ring(Line& line) {
  if (line.lost || !line.replies) return;
  Frame frame;
  for (;;) {
    const auto read = line.replies->read(&frame);
    if (read == RingReader::Read::kNothing) return;
    const auto sequence = read == RingReader::Read::kFrame ? reply_sequence(frame) : std::nullopt;
    if (!sequence) return lose(line);
    hand_to_waiter(line, std::move(frame), *sequence, {});
  }
}

// Gives each whole frame to whoever waits for it.
void Channel::dispatch(Line& line) {
  while (auto frame = line.reader.next()) {
    const auto sequence = reply_sequence(*frame);
    if (!sequence) return lose(line);
    ReceivedFile file = line.reader.take_file(flatbuffers::GetRoot<schema::ReplyMessage>(frame->data())->descriptors());
    hand_to_waiter(line, std::move(*frame), *sequence, std::move(file));
  }
}

// Replies to posts are dropped.
void Channel::hand_to_waiter(Line& line, Frame frame, std::uint64_t sequence, ReceivedFile file) {
  const auto at = line.waiters.find(sequence);
  if (at == line.waiters.end()) return;
  at->second.frame = std::move(frame);
  at->second.file = std::move(file);
  at->second.arrived.notify_all();
}

// Whoever stops waiting was perhaps the one who read: another one has to.
void Channel::hand_over(Line& line) {
  if (line.has_reader) return;
  for (auto& [sequence, waiter] : line.waiters) {
    if (waiter.frame || waiter.kept) continue;
    waiter.arrived.notify_all();
    return;
  }
}

bool Channel::poll_alive() {
  Held held(mutex_);
  const auto used = line_;
  if (used && !used->lost && !used->has_reader) {
    read_for_all(*used, Limit::Clock::duration::zero(), held);
    hand_over(*used);
  }
  return used && !used->lost;
}

// ---------------------------------------------------------------- sending

// By the ring where the broker looks at it and there is room. REQUIRES: `held`, which is given up meanwhile; the line
// is not lost.
bool Channel::send(Line& line, std::span<const std::byte> frame, const Limit& limit, Held& held) {
  line.look = kLook;
  return try_ring(line, frame, held) || send_by_socket(line, frame, limit, held);
}

// False where the broker does not look, or there is no room. REQUIRES: as above.
bool Channel::try_ring(Line& line, std::span<const std::byte> frame, Held& held) {
  const bool looks = line.requests && !line.requests->reader_sleeps();
  if (line.requests && !looks) line.requests->say_processor(static_cast<unsigned>(sched_getcpu()));
  const auto written = looks ? line.requests->write(frame) : RingWriter::Written::kNoRoom;
  line.asked_by_ring = written != RingWriter::Written::kNoRoom;
  if (written != RingWriter::Written::kUnseen) return line.asked_by_ring;
  held.unlock();
  line.ring_wanted.store(true);
  serve_ring(line);
  held.lock();
  return true;
}

// REQUIRES: as above.
bool Channel::send_by_socket(Line& line, std::span<const std::byte> frame, const Limit& limit, Held& held) {
  line.asked_by_ring = false;
  held.unlock();
  const bool sent = write_to_socket(line, frame, limit);
  held.lock();
  return sent;
}

bool Channel::write_to_socket(Line& line, std::span<const std::byte> frame, const Limit& limit) {
  std::unique_lock sending(line.sending, limit.deadline);
  if (!sending.owns_lock()) return false;
  std::size_t sent = 0;
  bool fine = true;
  while (fine && !line.cut_off.empty()) {
    // A doorbell's rest has no length of its own: it is sent as if its length had gone before.
    sent = kFrameLengthBytes;
    fine = send_part(*line.socket, line.cut_off, &sent);
    line.cut_off.erase(line.cut_off.begin(),
                       line.cut_off.begin() + static_cast<std::ptrdiff_t>(sent - kFrameLengthBytes));
    if (fine && !line.cut_off.empty()) fine = !limit.passed() && line.socket->poll(POLLOUT, kPollSlice);
  }
  fine = fine && write_frame(*line.socket, frame, limit);
  sending.unlock();
  serve_ring(line);
  return fine;
}

bool Channel::post(std::span<const std::byte> request, std::uint64_t epoch) {
  Held held(mutex_);
  const auto used = line_;
  if (!used || used->lost || used->epoch != epoch) return false;
  if (send_by_socket(*used, request, Limit::in(kMostForAPost), held)) return true;
  lose(*used);
  return false;
}

std::optional<Channel::Way> Channel::post_and_keep(std::uint64_t sequence, std::span<const std::byte> request,
                                                   std::uint64_t epoch, std::optional<Way> after) {
  Held held(mutex_);
  const auto used = line_;
  if (!used || used->lost || used->epoch != epoch) return std::nullopt;
  used->add_waiter(sequence).kept = true;
  used->look = kLookForPosted;
  if (after != Way::kSocket && try_ring(*used, request, held)) return Way::kRing;
  if (after == Way::kRing) {
    used->remove_waiter(sequence);
    return std::nullopt;
  }
  if (send_by_socket(*used, request, Limit::in(kMostForAPost), held)) return Way::kSocket;
  lose(*used);
  return std::nullopt;
}

void Channel::ring() noexcept {
  const auto used = line();
  if (!used) return;
  used->ring_wanted.store(true);
  serve_ring(*used);
}

// Either this thread gets the turn to send, or the one who has it looks at ring_wanted after giving it up.
void Channel::serve_ring(Line& line) noexcept {
  while (line.ring_wanted.load() && line.sending.try_lock()) {
    if (line.ring_wanted.exchange(false) && line.cut_off.empty()) {
      std::size_t sent = 0;
      send_part(*line.socket, ring_frame_, &sent);
      if (sent > 0 && sent < kFrameLengthBytes + ring_frame_.size()) {
        // As good as impossible on a Unix socket; the rest goes before the next frame.
        const Frame whole = framed(ring_frame_);
        line.cut_off.assign(whole.begin() + static_cast<std::ptrdiff_t>(sent), whole.end());
      }
    }
    line.sending.unlock();
  }
}

}  // namespace tensorbroker
