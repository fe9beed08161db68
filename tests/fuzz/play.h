// What clients of a World do, step by step: connect, send, lock, die, go away; and the loop of targets that play it.

#ifndef TENSORBROKER_TESTS_FUZZ_PLAY_H_
#define TENSORBROKER_TESTS_FUZZ_PLAY_H_

#include <memory>

#include "tests/fuzz/world.h"

namespace tensorbroker::fuzz {

inline std::uint64_t choose_session(Choices& choices, const World& world) {
  const auto& known = world.facts().sessions;
  return known.empty() ? 0 : known[choices.byte() % known.size()];
}

inline void play_step(Choices& choices, World& world) {
  switch (choices.below(20)) {
    case 0: {
      const auto raw = choices.bytes(choices.byte());
      return world.deliver(choices.byte() % world.connections(), {raw.begin(), raw.end()});
    }
    case 1:
      return world.connect();
    case 2:
      return world.disconnect(choices.byte() % world.connections());
    case 3:
    case 4:
      return world.lock(choose_session(choices, world));
    case 5:
      switch (choices.below(4)) {
        case 3:
          return world.die(choose_session(choices, world));
        case 2:
          return world.pass(std::chrono::milliseconds(std::uint64_t{choices.byte()} * 100));
        default:
          return world.punch();
      }
    case 6:
      return world.look(choose_session(choices, world));
    default: {
      const std::size_t connection = choices.byte() % world.connections();
      world.deliver(connection, choose_message(choices, &world.facts()));
    }
  }
}

// Plays one input on a world that lives on, or is made anew where an input has used it up.
template <class Step>
int play(const std::uint8_t* data, std::size_t size, Step&& step) {
  constexpr int kMostSteps = 24;
  static std::unique_ptr<World> world;
  if (world == nullptr) world = std::make_unique<World>();
  Choices choices(data, size);
  world->begin();
  for (int steps = 0; steps < kMostSteps && !choices.empty(); ++steps) step(choices, *world);
  if (!world->settle()) world.reset();
  return 0;
}

}  // namespace tensorbroker::fuzz

#endif  // TENSORBROKER_TESTS_FUZZ_PLAY_H_
