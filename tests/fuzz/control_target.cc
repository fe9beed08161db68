// The control messages as the broker dispatches them, against its real state: clients of all sorts send what they like.
// Whatever they do, every message is answered or costs its connection, and nothing stays charged.

#include "tests/fuzz/play.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return tensorbroker::fuzz::play(data, size, tensorbroker::fuzz::play_step);
}
