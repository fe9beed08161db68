// Request messages made of choices: well-formed ones whose numbers are mostly those that the broker gave out, so that
// they get far; and the same with some bytes changed.

#ifndef TENSORBROKER_TESTS_FUZZ_MESSAGE_CHOICES_H_
#define TENSORBROKER_TESTS_FUZZ_MESSAGE_CHOICES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "broker/range.h"
#include "proto/catalog.h"
#include "proto/schema/control_generated.h"
#include "tests/fuzz/choices.h"

namespace tensorbroker::fuzz {

// What clients know: it is in replies and in the catalog.
struct Facts {
  const Catalog* catalog = nullptr;
  std::vector<std::uint64_t> sessions;
  std::vector<EntryId> entries;  // spares, published or not by now
  std::vector<std::uint32_t> extents;
  std::vector<broker::Range> ranges;  // of the extents
  std::uint64_t sequence = 1;         // of the next message; what is below was used before
};

// Takes the ids out of a reply. It must verify.
void learn(const schema::ReplyMessage& reply, Facts* facts);

std::vector<std::byte> choose_message(Choices& choices, Facts* facts);

// The Hello of a client of this layout; `session` 0: a new one.
std::vector<std::byte> hello_message(std::uint64_t session, const std::vector<EntryId>& spares);
std::vector<std::byte> locked_message();

}  // namespace tensorbroker::fuzz

#endif  // TENSORBROKER_TESTS_FUZZ_MESSAGE_CHOICES_H_
