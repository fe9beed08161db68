#include "broker/request_ring.h"

#include <utility>

#include "broker/ring_watch.h"

namespace tensorbroker::broker {

RequestRing::RequestRing(const CommandRing& ring, pid_t process, Turns& turns, RingWatch& watch,
                         std::shared_ptr<ChannelHandler> handler, std::function<void(const std::string&)> fail)
    : reader_(RingReader::at_end(ring)),
      process_(process),
      turns_(turns),
      watch_(watch),
      handler_(std::move(handler)),
      fail_(std::move(fail)) {
  reader_.fall_asleep();
}

void RequestRing::heard_by_socket() {
  if (is_closed()) return;
  heard(Clock::now());
  look();
}

void RequestRing::heard(Clock::time_point now) {
  in_a_row_ = now - std::exchange(last_heard_, now) <= RingWatch::kBurst ? in_a_row_ + 1 : 1;
  watch_.heard(*this, in_a_row_);
}

// Asks for a turn where there is something to hear.
void RequestRing::look() {
  if (is_closed() || asked_ || !has_work()) return;
  asked_ = true;
  turns_.ask(process_, shared_from_this());
}

bool RequestRing::look_now() {
  if (is_closed() || asked_ || !has_work()) return false;
  asked_ = true;
  turns_.take(process_, shared_from_this());
  return true;
}

void RequestRing::close() noexcept { handler_ = nullptr; }

void RequestRing::begin_watch() {
  watched_ = true;
  reader_.wake_up();
}

bool RequestRing::end_watch() {
  watched_ = is_closed() ? false : !reader_.fall_asleep();
  return !watched_;
}

void RequestRing::take_turn(Deadline ends) {
  asked_ = false;
  Deadline now{};
  try {
    do {
      // The handler may close this ring, and keeps itself meanwhile.
      const auto handler = handler_;
      if (handler == nullptr || (frame_.empty() && !next_frame())) break;
      if (handler->on_frame(frame_, Transport::kRing, ends)) frame_.clear();
      now = Deadline::clock::now();
    } while (now < ends);
  } catch (const ProtocolError& e) {
    return fail_(e.what());
  }
  if (now != Deadline{} && !is_closed()) heard(now);
  look();
}

bool RequestRing::next_frame() {
  switch (reader_.read(&frame_)) {
    case RingReader::Read::kNothing:
      return false;
    case RingReader::Read::kMalformed:
      throw ProtocolError("its command ring holds what no client writes");
    case RingReader::Read::kFrame:
      break;
  }
  return true;
}

}  // namespace tensorbroker::broker
