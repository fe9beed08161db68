// A command ring under every interleaving of its writer and a reader that falls asleep: no frame is left unread by a
// reader that sleeps and was not woken, and none is read before it is whole.

#include "proto/command_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/model/explorer.h"

namespace tensorbroker {
namespace {

#include "tests/model/ring_world.inl"

void expect_no_violation(const model::Limits& limits) {
  const model::Exploration result = explore_ring(limits);
  EXPECT_TRUE(result.complete) << result.schedules << " schedules were not all";
  for (const std::string& violation : result.violations) ADD_FAILURE() << violation;
}

TEST(CommandRingModel, NoFrameIsLeftToASleeper) { expect_no_violation({.preemptions = 5}); }

TEST(CommandRingModel, NorWithStoreBuffers) {
  expect_no_violation({.preemptions = 4, .memory = model::Memory::kStoreBuffers});
}

}  // namespace
}  // namespace tensorbroker
