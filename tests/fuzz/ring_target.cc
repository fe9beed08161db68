// A command ring beside a peer that writes whatever it likes there: what is read is what was written, or refused, and
// nothing beyond the ring is touched.

#include <algorithm>
#include <vector>

#include "proto/command_ring.h"
#include "tests/fuzz/choices.h"
#include "tests/support/local_rings.h"

namespace tensorbroker::fuzz {
namespace {

std::vector<std::byte> choose_frame(Choices& choices) {
  const std::size_t bytes = choices.flag() ? choices.byte() : std::size_t{choices.number<std::uint16_t>()} % 20'000;
  std::vector<std::byte> frame(std::max<std::size_t>(bytes, 1));
  const auto drawn = choices.bytes(std::min<std::size_t>(frame.size(), 8));
  std::copy(drawn.begin(), drawn.end(), frame.begin());
  return frame;
}

// A ring of requests, whose reader is the broker, or of replies, whose writer is; the other end is honest until it
// scribbles.
class Play {
 public:
  Play(test::LocalRings& memory, bool broker_reads)
      : ring_(broker_reads ? memory.rings().requests : memory.rings().replies),
        reader_(RingReader::at_end(ring_)),
        writer_(ring_, ring_.head->load()) {}

  // False where the reader gives the ring up.
  bool step(Choices& choices) {
    switch (choices.below(8)) {
      case 0:
        scribble(choices);
        return true;
      case 1:
        reader_.fall_asleep();
        return true;
      case 2:
        reader_.wake_up();
        return true;
      case 3:
      case 4:
      case 5:
        write(choose_frame(choices));
        return true;
      default:
        return read();
    }
  }

  // An honest peer's frames all come.
  bool read_all() {
    while (reader_.has_more()) {
      if (!read()) return false;
    }
    require(!honest_ || written_.empty(), "every frame that was written is read");
    return true;
  }

 private:
  void scribble(Choices& choices) {
    honest_ = false;
    Word* const words[] = {ring_.tail, ring_.head, ring_.asleep, &ring_.word(choices.byte())};
    words[choices.below(4)]->store(choices.flag() ? ring_.tail->load() + choices.signed_byte() : choices.odd_number());
  }

  void write(std::vector<std::byte> frame) {
    const auto written = writer_.write(frame);
    if (written == RingWriter::Written::kNoRoom) return;
    require(words_of_frame(frame.size()) <= ring_.limit, "what was written fits");
    written_.push_back(std::move(frame));
  }

  bool read() {
    std::vector<std::byte> frame;
    const auto outcome = reader_.read(&frame);
    if (outcome == RingReader::Read::kFrame) {
      require(!frame.empty() && words_of_frame(frame.size()) <= ring_.limit, "a frame fits into the ring");
      if (honest_) require(!written_.empty() && frame == written_.front(), "what is read is what was written");
    }
    if (!written_.empty() && outcome == RingReader::Read::kFrame) written_.erase(written_.begin());
    require(!honest_ || outcome != RingReader::Read::kMalformed, "what an honest peer writes is read");
    return outcome != RingReader::Read::kMalformed;
  }

  CommandRing ring_;
  RingReader reader_;
  RingWriter writer_;
  std::vector<std::vector<std::byte>> written_;  // and not read yet
  bool honest_ = true;
};

}  // namespace
}  // namespace tensorbroker::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tensorbroker;
  static test::LocalRings memory;
  constexpr int kMostSteps = 64;
  fuzz::Choices choices(data, size);
  fuzz::Play play(memory, choices.flag());
  for (int steps = 0; steps < kMostSteps && !choices.empty(); ++steps) {
    if (!play.step(choices)) return 0;
  }
  play.read_all();
  return 0;
}
