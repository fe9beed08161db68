// One item that a client sends, before it is a message, so that the model can judge the answer.

#ifndef TENSORBROKER_TESTS_SIMULATION_REQUEST_H_
#define TENSORBROKER_TESTS_SIMULATION_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "proto/catalog_layout.h"
#include "proto/schema/control_generated.h"

namespace tensorbroker::simulation {

struct Request {
  schema::Request kind = schema::Request::NONE;
  std::uint64_t sequence = 0;
  // Which of these count depends on the kind, as in control.fbs.
  EntryId entry = kNoEntry;
  std::uint64_t generation = 0;
  std::string name{};
  bool by_name = false;
  std::uint64_t token = 0;
  std::uint64_t block_offset = 0;
  std::uint64_t bytes = 0;  // of a block, or of an extent
  bool is_bundle = false;
  bool is_mutable = false;
  bool overwrite = true;
  bool keep = false;
  std::uint32_t count = 0;  // of spares or lease cells
  std::uint64_t session = 0;
  pid_t pid = 0;
  std::vector<std::uint32_t> extents{};
  std::vector<std::uint64_t> keeps{};  // of the extents, when they are given back
  std::vector<EntryId> spares{};
  std::vector<std::byte> header{};
  // Not sent: what the client knows about it.
  bool is_sound = true;    // the header is well-formed and of the block
  std::uint64_t seed = 0;  // of the block's contents
};

// The header of a tensor of so many bytes; of a bundle with one such member.
std::vector<std::byte> header_of(std::uint64_t bytes, bool is_bundle);

// Requests with consecutive sequence numbers as one message.
std::vector<std::byte> message_of(const std::vector<Request>& requests);

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_REQUEST_H_
