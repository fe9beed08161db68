#include "broker/server.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <utility>

#include "broker/connection.h"

namespace tensorbroker::broker {

namespace asio = boost::asio;
using boost::system::error_code;
using Protocol = asio::local::stream_protocol;

namespace {

constexpr std::chrono::milliseconds kPause{100};

int spare_descriptor() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

struct Server::Acceptor : std::enable_shared_from_this<Acceptor> {
  Acceptor(asio::io_context& context, MakeHandler make)
      : acceptor(context), pause(context), make_handler(std::move(make)), spare(spare_descriptor()) {}
  ~Acceptor() {
    if (spare >= 0) close(spare);
  }

  void listen(const std::string& at);
  void accept();
  void accepted(Protocol::socket socket);
  void refuse_one();

  Protocol::acceptor acceptor;
  asio::steady_timer pause;
  MakeHandler make_handler;
  int spare;
  std::string path;
};

void Server::Acceptor::listen(const std::string& at) {
  unlink(at.c_str());
  error_code error;
  acceptor.open(Protocol(), error);
  const mode_t before = umask(0177);
  if (!error) acceptor.bind(Protocol::endpoint(at), error);
  umask(before);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    throw Error(ErrorCode::kRuntime,
                "cannot listen on " + at + ": " + error.message() + "; choose another directory with --runtime-dir");
  }
  path = at;
}

void Server::Acceptor::accept() {
  acceptor.async_accept([self = shared_from_this()](error_code error, Protocol::socket socket) {
    if (!self->acceptor.is_open()) return;
    if (!error) self->accepted(std::move(socket));
    if (error == asio::error::no_descriptors || error.value() == ENFILE || error.value() == ENOMEM) {
      return self->refuse_one();
    }
    self->accept();
  });
}

// Gives up the spare descriptor to take the connection that waits, and closes it: its client learns at once.
void Server::Acceptor::refuse_one() {
  spdlog::error("a connection is refused: out of descriptors; raise the limit (`ulimit -n`)");
  if (spare >= 0) close(std::exchange(spare, -1));
  const int refused = accept4(acceptor.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (refused >= 0) close(refused);
  spare = spare_descriptor();
  // A flood must not keep the loop from its other clients, which may give descriptors up.
  pause.expires_after(kPause);
  pause.async_wait([self = shared_from_this()](error_code error) {
    if (!error && self->acceptor.is_open()) self->accept();
  });
}

void Server::Acceptor::accepted(Protocol::socket socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.uid != geteuid()) {
    spdlog::warn("a connection of uid {} (pid {}) is refused: this broker serves uid {}", peer.uid, peer.pid,
                 geteuid());
    return;
  }
  const auto connection = std::make_shared<Connection>(std::move(socket), peer.pid);
  connection->start(make_handler(connection));
}

Server::Server(EventLoop& loop, const std::string& path, MakeHandler make_handler)
    : acceptor_(std::make_shared<Acceptor>(loop.context(), std::move(make_handler))) {
  acceptor_->listen(path);
  acceptor_->accept();
}

void Server::abandon() {
  error_code ignored;
  acceptor_->acceptor.close(ignored);
  acceptor_->pause.cancel();
  acceptor_->path.clear();
}

Server::~Server() {
  if (!acceptor_->path.empty()) unlink(acceptor_->path.c_str());
  abandon();
}

}  // namespace tensorbroker::broker
