// The session segments as the broker reads them: clients write whatever they like there, or cut them short, between
// messages and all the rest that they do.

#include "tests/fuzz/play.h"

namespace tensorbroker::fuzz {
namespace {

Word& choose_word(Choices& choices, const SessionSegment& segment) {
  SessionControl& control = segment.control();
  switch (choices.below(12)) {
    case 0:
      return control.ring;
    case 1:
      return control.waiters;
    case 2:
      return control.returns_tail;
    case 3:
      return control.leases_committed;
    case 4:
      return control.returns_head;
    case 5:
    case 6:
      return segment.extent_state(choices.byte());
    case 7:
      return segment.block_return(choices.byte()).block_offset;
    case 8:
      return segment.block_return(choices.byte()).generation;
    case 9:
      return control.lease_high_water;
    default:
      return segment.lease(choices.byte());
  }
}

void scribble(Choices& choices, World& world) {
  const SessionSegment* const segment = world.segment(choose_session(choices, world));
  if (segment == nullptr) return;
  for (std::size_t count = 1 + choices.below(8); count > 0; --count) {
    choose_word(choices, *segment).store(choices.odd_number());
  }
}

// A lease as a client takes it.
void lease(Choices& choices, World& world) {
  const SessionSegment* const segment = world.segment(choose_session(choices, world));
  const auto& entries = world.facts().entries;
  if (segment == nullptr || entries.empty()) return;
  const std::uint32_t cell = choices.byte();
  Word& high_water = segment->control().lease_high_water;
  high_water.store(std::max<std::uint64_t>(high_water.load(), cell + 1));
  segment->lease(cell).store(choices.flag() ? lease_of(entries[choices.byte() % entries.size()]) : 0);
}

void step(Choices& choices, World& world) {
  const std::size_t kind = choices.byte();
  if (kind == 255 && choices.below(8) == 7) {  // the world is used up then
    world.truncate(choose_session(choices, world), choices.odd_number());
  } else if (kind % 3 == 0) {
    scribble(choices, world);
  } else if (kind % 8 == 1) {
    lease(choices, world);
  } else {
    play_step(choices, world);
  }
}

}  // namespace
}  // namespace tensorbroker::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return tensorbroker::fuzz::play(data, size, tensorbroker::fuzz::step);
}
