#include "broker/server.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <exception>
#include <span>
#include <utility>

#include "broker/connection.h"
#include "broker/log.h"
#include "broker/reply.h"
#include "proto/frame.h"
#include "proto/runtime_dir.h"

namespace tensorbroker::broker {

namespace asio = boost::asio;
using boost::system::error_code;
using Protocol = asio::local::stream_protocol;

namespace {

constexpr std::chrono::milliseconds kPause{100};
// A newcomer costs as much as ten requests, and a flood of them has as many processes as it likes: while others ask in
// quick succession, so much time is theirs between two.
constexpr std::chrono::microseconds kBetweenNewcomers{100};

int spare_descriptor() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

// Answers what the newcomer has not asked yet, as far as its socket takes it, so that it learns why it is refused.
void tell(int socket, const std::exception_ptr& why) {
  Reply reply([socket](std::span<const std::byte> message, const std::vector<SegmentFile>&, Transport) {
    const auto frame = framed(message);
    [[maybe_unused]] const ssize_t sent = ::send(socket, frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  });
  reply.begin(0, 1, Transport::kSocket);
  reply.set(0, error_answer(why));
}

// Before anybody can connect. The directory is this user's alone to put names into.
void share(const std::string& socket, gid_t group) {
  if (lchown(socket.c_str(), static_cast<uid_t>(-1), group) != 0 || chmod(socket.c_str(), 0660) != 0) {
    throw_not_shared(socket, group, errno);
  }
}

}  // namespace

struct Server::Acceptor : std::enable_shared_from_this<Acceptor> {
  class Newcomer;

  Acceptor(EventLoop& events, Turns& takes_turns, RingWatch& watch, const Served& whom, const Limits& limits,
           MakeHandler make)
      : loop(events),
        turns(takes_turns),
        rings(watch),
        acceptor(events.context()),
        pause(events.context()),
        make_handler(std::move(make)),
        served(whom),
        quota(limits.connections),
        patience(limits.patience),
        spare(spare_descriptor()) {}
  ~Acceptor() {
    if (spare >= 0) close(spare);
  }

  void listen(const std::string& at);
  void accept();
  void ask_for_turn(Protocol::socket socket);
  void accepted(Protocol::socket socket);
  void refuse_one();

  EventLoop& loop;
  Turns& turns;
  RingWatch& rings;
  Protocol::acceptor acceptor;
  asio::steady_timer pause;
  MakeHandler make_handler;
  Served served;
  ConnectionQuota quota;
  std::chrono::milliseconds patience;
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
  if (!error && served.group) share(at, *served.group);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    throw Error(ErrorCode::kRuntime,
                "cannot listen on " + at + ": " + error.message() + "; choose another directory with --runtime-dir");
  }
  path = at;
}

// Somebody who has connected and was not taken in yet, which costs more than many a request does.
class Server::Acceptor::Newcomer : public TakesTurns {
 public:
  Newcomer(std::shared_ptr<Acceptor> acceptor, Protocol::socket socket)
      : acceptor_(std::move(acceptor)), socket_(std::move(socket)) {}
  void take_turn(Deadline /*ends*/) override {
    if (!acceptor_->acceptor.is_open()) return;
    acceptor_->accepted(std::move(socket_));
    acceptor_->rings.make_way(kBetweenNewcomers, [acceptor = acceptor_] { acceptor->accept(); });
  }

 private:
  std::shared_ptr<Acceptor> acceptor_;
  Protocol::socket socket_;
};

// It is its process's turn that is used.
void Server::Acceptor::ask_for_turn(Protocol::socket socket) {
  const pid_t process = pid_of_peer(socket.native_handle());
  turns.ask(process, std::make_shared<Newcomer>(shared_from_this(), std::move(socket)));
}

void Server::Acceptor::accept() {
  acceptor.async_accept([self = shared_from_this()](error_code error, Protocol::socket socket) {
    if (!self->acceptor.is_open()) return;
    if (!error) return self->ask_for_turn(std::move(socket));
    if (error == asio::error::no_descriptors || error.value() == ENFILE || error.value() == ENOMEM) {
      return self->refuse_one();
    }
    self->accept();
  });
}

// Gives up the spare descriptor to take the connection that waits, and closes it: its client learns at once.
void Server::Acceptor::refuse_one() {
  const QuotaError error("the connection is refused: the broker (pid " + std::to_string(getpid()) +
                         ") is out of descriptors; close some clients, or raise its limit (`ulimit -n`)");
  log_refusal(error.what());
  if (spare >= 0) close(std::exchange(spare, -1));
  const int refused = accept4(acceptor.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (refused >= 0) tell(refused, std::make_exception_ptr(error));
  if (refused >= 0) close(refused);
  spare = spare_descriptor();
  // A flood must not keep the loop from its other clients, which may give descriptors up.
  pause.expires_after(kPause);
  pause.async_wait([self = shared_from_this()](error_code failed) {
    if (!failed && self->acceptor.is_open()) self->accept();
  });
}

void Server::Acceptor::accepted(Protocol::socket socket) {
  const auto refuse = [&socket](const Error& e) {
    log_refusal(e.what());
    tell(socket.native_handle(), std::current_exception());
  };
  try {
    const Peer peer = admit(socket.native_handle(), served);
    auto charge = quota.charge(peer.uid, peer.pid);
    const auto connection =
        std::make_shared<Connection>(loop, turns, rings, std::move(socket), peer, std::move(charge), patience);
    connection->start(make_handler(connection));
  } catch (const AccessError& e) {
    refuse(e);
  } catch (const QuotaError& e) {
    refuse(e);
  }
}

Server::Server(EventLoop& loop, Turns& turns, RingWatch& rings, const std::string& path, const Served& served,
               const Limits& limits, MakeHandler make_handler)
    : acceptor_(std::make_shared<Acceptor>(loop, turns, rings, served, limits, std::move(make_handler))) {
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
