// A client that speaks the control protocol by hand, and so can break every rule of it.

#ifndef TENSORBROKER_TESTS_SUPPORT_RAW_CLIENT_H_
#define TENSORBROKER_TESTS_SUPPORT_RAW_CLIENT_H_

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/calls.h"
#include "client/socket.h"
#include "proto/layout.h"
#include "proto/session.h"
#include "tests/support/broker_process.h"

namespace tensorbroker::test {

using Builder = flatbuffers::FlatBufferBuilder;

// A request of one item. `body` is a function of (Builder&) that returns the offset of its table.
template <class Body>
Frame message(schema::Request type, Body body, std::uint64_t sequence = 1) {
  Builder builder;
  const auto item = schema::CreateRequestItem(builder, type, body(builder).Union());
  const auto items = builder.CreateVector(&item, 1);
  builder.Finish(schema::CreateRequestMessage(builder, sequence, items));
  const auto* bytes = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {bytes, bytes + builder.GetSize()};
}

Frame hello(std::uint64_t session = 0, pid_t pid = getpid(), std::uint32_t version = kLayoutVersion,
            std::uint64_t hash = layout_hash());
Frame publication(EntryId entry, const std::string& name, std::span<const std::byte> header, std::uint64_t offset,
                  std::uint64_t bytes, std::uint64_t sequence);
// The header of a float tensor of so many elements.
std::vector<std::byte> float_header(std::int64_t elements);

std::shared_ptr<Socket> connect_raw(const TemporaryInstance& at);
// Whatever becomes of them: the broker may have closed its end by now.
void send_raw(const Socket& socket, const void* bytes, std::size_t count);
// Sends the request and waits for the next frame; nullopt where the broker ended the connection.
std::optional<ReplyFrame> ask(const Socket& socket, const Frame& request);
// Whether the broker ends this connection without another word.
bool is_closed(const Socket& socket);
ErrorCode error_of(const std::optional<ReplyFrame>& reply);
std::string text_of(const std::optional<ReplyFrame>& reply);

// An attached session.
struct RawSession {
  std::shared_ptr<Socket> socket;
  std::uint64_t id = 0;
  std::uint64_t heir = 0;
  std::unique_ptr<SessionSegment> segment;
  std::vector<EntryId> spares;
};
RawSession attach_raw(const TemporaryInstance& at);

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_SUPPORT_RAW_CLIENT_H_
