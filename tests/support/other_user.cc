#include "tests/support/other_user.h"

#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tensorbroker/error.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "tests/support/broker_process.h"

namespace tensorbroker::test {
namespace {

namespace fs = std::filesystem;

constexpr int kPatienceMs = 60'000;
constexpr std::size_t kMostBytes = 64 * 1024;

void become(const User& user) {
  if (setgroups(user.groups.size(), user.groups.data()) != 0 || setresgid(user.gid, user.gid, user.gid) != 0 ||
      setresuid(user.uid, user.uid, user.uid) != 0) {
    throw std::runtime_error(std::string("cannot become another user: ") + std::strerror(errno));
  }
  prctl(PR_SET_DUMPABLE, 1);  // so that it may look at itself in /proc
}

std::string answer_of(const UserProcess::Answer& answer, const std::string& question) {
  try {
    return answer(question);
  } catch (const AccessError& e) {
    return std::string("AccessError: ") + e.what();
  } catch (const QuotaError& e) {
    return std::string("QuotaError: ") + e.what();
  } catch (const BrokerUnavailableError& e) {
    return std::string("BrokerUnavailableError: ") + e.what();
  } catch (const std::exception& e) {
    return std::string("Error: ") + e.what();
  }
}

// Each message is one packet.
[[noreturn]] void serve(int socket, const User& user, const UserProcess::Answer& answer) noexcept {
  try {
    become(user);
    std::string buffer(kMostBytes, '\0');
    for (ssize_t n = 0; (n = recv(socket, buffer.data(), buffer.size(), 0)) > 0;) {
      // The first byte keeps an empty message from being the end.
      const std::string said = "+" + answer_of(answer, buffer.substr(1, static_cast<std::size_t>(n) - 1));
      if (send(socket, said.data(), said.size(), MSG_NOSIGNAL) < 0) break;
    }
  } catch (const std::exception& e) {
    static_cast<void>(write(STDERR_FILENO, e.what(), std::strlen(e.what())));
    _exit(1);
  }
  _exit(0);
}

}  // namespace

UserProcess::UserProcess(const User& user, const Answer& answer) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error("no sockets");
  pid_ = fork();
  if (pid_ == 0) {
    close(ends[0]);
    serve(ends[1], user, answer);
  }
  close(ends[1]);
  socket_ = ends[0];
}

UserProcess::~UserProcess() {
  if (socket_ >= 0) shutdown(socket_, SHUT_WR);
  if (pid_ > 0 && !eventually([&] { return waitpid(pid_, nullptr, WNOHANG) == pid_; }, 10)) kill();
  close(socket_);
}

std::string UserProcess::ask(const std::string& question) {
  const std::string said = "?" + question;
  std::string buffer(kMostBytes, '\0');
  pollfd p{socket_, POLLIN, 0};
  if (send(socket_, said.data(), said.size(), MSG_NOSIGNAL) < 0) return "it has ended";
  if (poll(&p, 1, kPatienceMs) != 1) return "it does not answer";
  const ssize_t n = recv(socket_, buffer.data(), buffer.size(), 0);
  return n > 0 ? buffer.substr(1, static_cast<std::size_t>(n) - 1) : "it has ended";
}

void UserProcess::kill() {
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::string as_user(const User& user, const std::function<std::string()>& answer) {
  UserProcess process(user, [&](const std::string&) { return answer(); });
  return process.ask();
}

PublicDaemon::PublicDaemon() {
  const char* daemon = std::getenv("TENSORBROKER_DAEMON");
  if (daemon == nullptr) throw std::runtime_error("set TENSORBROKER_DAEMON to the tensorbrokerd to test");
  before_ = daemon;
  directory_ = "/tmp/tensorbroker-daemon-XXXXXX";
  if (mkdtemp(directory_.data()) == nullptr) throw std::runtime_error("cannot make " + directory_);
  const fs::path copy = fs::path(directory_) / "tensorbrokerd";
  fs::copy_file(before_, copy);
  fs::permissions(directory_, fs::perms(0755));
  fs::permissions(copy, fs::perms(0755));
  setenv("TENSORBROKER_DAEMON", copy.c_str(), 1);
}

PublicDaemon::~PublicDaemon() {
  setenv("TENSORBROKER_DAEMON", before_.c_str(), 1);
  fs::remove_all(directory_);
}

}  // namespace tensorbroker::test
