#include "tests/support/raw_client.h"

#include <sys/socket.h>

#include <chrono>
#include <utility>

#include "client/session_lock.h"
#include "proto/header.h"
#include "proto/runtime_dir.h"

namespace tensorbroker::test {
namespace {

constexpr std::chrono::seconds kPatience{30};

}  // namespace

Frame hello(std::uint64_t session, pid_t pid, std::uint32_t version, std::uint64_t hash) {
  return message(schema::Request::Hello,
                 [&](Builder& b) { return schema::CreateHello(b, version, hash, pid, session); });
}

Frame publication(EntryId entry, const std::string& name, std::span<const std::byte> header, std::uint64_t offset,
                  std::uint64_t bytes, std::uint64_t sequence) {
  return message(
      schema::Request::Publish,
      [&](Builder& b) {
        const auto text = b.CreateString(name);
        const auto data = b.CreateVector(reinterpret_cast<const std::uint8_t*>(header.data()), header.size());
        return schema::CreatePublish(b, entry, text, data, offset, bytes);
      },
      sequence);
}

std::vector<std::byte> float_header(std::int64_t elements) {
  const TensorSpec spec{.name = "", .dtype = kFloat32, .sizes = {elements}, .strides = {1}, .offset = 0};
  return encode_header({&spec, 1}, "");
}

std::shared_ptr<Socket> connect_raw(const TemporaryInstance& at) {
  return Socket::connect(socket_path(at.runtime_dir(), at.name().instance));
}

void send_raw(const Socket& socket, const void* bytes, std::size_t count) {
  static_cast<void>(send(socket.fd(), bytes, count, MSG_NOSIGNAL));
}

std::optional<ReplyFrame> ask(const Socket& socket, const Frame& request) {
  write_frame(socket, request, Limit::in(kPatience));
  ReceivedFile file;
  auto frame = read_frame(socket, Limit::in(kPatience), &file);
  if (!frame) return std::nullopt;
  return ReplyFrame{std::move(*frame), 0, std::move(file)};
}

bool is_closed(const Socket& socket) {
  const Limit limit = Limit::in(kPatience);
  return !read_frame(socket, limit) && !limit.passed();
}

ErrorCode error_of(const std::optional<ReplyFrame>& reply) {
  return static_cast<ErrorCode>(reply.value().message().items()->Get(0)->error());
}

std::string text_of(const std::optional<ReplyFrame>& reply) {
  const auto* text = reply.value().message().items()->Get(0)->message();
  return text != nullptr ? text->str() : "";
}

RawSession attach_raw(const TemporaryInstance& at) {
  RawSession session;
  session.socket = connect_raw(at);
  auto welcome = ask(*session.socket, hello());
  session.id = body_of<schema::Welcome>(welcome.value().item()).session();
  session.segment = map_and_lock_session(at.name(), session.id, false, std::move(welcome->file));
  const auto attached = ask(*session.socket, build_locked(2));
  const auto& details = body_of<schema::Attached>(attached.value().item());
  session.heir = details.heir();
  session.spares.assign(details.spares()->begin(), details.spares()->end());
  return session;
}

}  // namespace tensorbroker::test
