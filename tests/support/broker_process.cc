#include "tests/support/broker_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "proto/instance_lock.h"
#include "proto/runtime_dir.h"
#include "tests/support/leak_check.h"

namespace tensorbroker::test {
namespace {

namespace fs = std::filesystem;

std::string daemon_path() {
  const char* path = std::getenv("TENSORBROKER_DAEMON");
  if (path == nullptr) throw std::runtime_error("set TENSORBROKER_DAEMON to the tensorbrokerd to test");
  return path;
}

std::string temporary_directory() {
  std::string pattern = fs::temp_directory_path() / "tensorbroker-test-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
  return pattern;
}

struct Pipe {
  int read_end = -1;
  int write_end = -1;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  return {ends[0], ends[1]};
}

// `inherited`: a descriptor that the process gets under number 3; -1: none.
pid_t spawn(const std::vector<std::string>& command, int stderr_fd, int inherited) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, stderr_fd, STDERR_FILENO);
  if (inherited >= 0) posix_spawn_file_actions_adddup2(&files, inherited, 3);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, argv[0], &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::runtime_error("cannot start " + command[0]);
  return pid;
}

std::string drain(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t n = 0; (n = read(fd, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

// Whatever the test held was let go of by now, in this process and in others.
void expect_nothing_held(ConnectOptions options) {
  options.timeout = std::chrono::seconds(5);
  try {
    Client looking = Client::connect(options);
    EXPECT_EQ(what_is_held(looking), "") << "so the broker counts at the end of the test";
  } catch (const Error&) {
    return;  // a test may leave a broker that serves nobody
  }
}

int status_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

}  // namespace

TemporaryInstance::TemporaryInstance() : runtime_dir_(temporary_directory()) {
  static std::atomic<int> count{0};
  name_ = {geteuid(), "test-" + std::to_string(getpid()) + "-" + std::to_string(++count)};
}

TemporaryInstance::~TemporaryInstance() {
  if (const auto broker = living_broker(name_)) {
    kill(broker->pid, SIGKILL);
    eventually([&] { return !living_broker(name_); });
  }
  for (const std::string& file : files()) unlink(("/dev/shm/" + file).c_str());
  fs::remove_all(runtime_dir_);
}

ConnectOptions TemporaryInstance::connect_options() const {
  return {.instance = name_.instance,
          .runtime_dir = runtime_dir_,
          .autostart = false,
          .timeout = std::chrono::seconds(20),
          .capacity = {}};
}

std::vector<std::string> TemporaryInstance::files() const {
  std::vector<std::string> found;
  for (const auto& file : fs::directory_iterator("/dev/shm")) {
    const std::string file_name = file.path().filename();
    if (file_name.starts_with(name_.prefix())) found.push_back(file_name);
  }
  return found;
}

std::string TemporaryInstance::log() const {
  std::ostringstream text;
  text << std::ifstream(log_path(runtime_dir_, name_.instance)).rdbuf();
  return text.str();
}

BrokerProcess::BrokerProcess(std::vector<std::string> arguments) : arguments_(std::move(arguments)) { start(); }

BrokerProcess::~BrokerProcess() {
  if (pid_ <= 0) return;
  expect_nothing_held(connect_options());
  end(SIGTERM);
}

void BrokerProcess::start() { start(arguments_); }

void BrokerProcess::start(std::vector<std::string> arguments) {
  std::vector<std::string> command{daemon_path(), "--instance", at_.name().instance, "--runtime-dir", at_.runtime_dir(),
                                   "--ready-fd",  "3"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Pipe ready = make_pipe();
  const Pipe err = make_pipe();
  pid_ = spawn(command, err.write_end, ready.write_end);
  close(ready.write_end);
  close(err.write_end);
  stderr_ = err.read_end;
  pollfd p{ready.read_end, POLLIN, 0};
  char byte = 0;
  const bool is_ready = poll(&p, 1, 20'000) == 1 && read(ready.read_end, &byte, 1) == 1 && byte == '\n';
  close(ready.read_end);
  if (is_ready) return;
  const Ended ended = end(SIGKILL);
  throw std::runtime_error("the broker did not get ready: " + ended.err);
}

Ended BrokerProcess::end(int signal) {
  kill(pid_, signal);
  int status = 0;
  const bool in_time = eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; });
  if (!in_time) {
    kill(pid_, SIGKILL);
    waitpid(pid_, &status, 0);
  }
  pid_ = -1;
  Ended ended{status_of(status), drain(stderr_)};
  close(stderr_);
  return ended;
}

Ended run_daemon(const std::vector<std::string>& arguments, const std::vector<std::string>& prefix) {
  std::vector<std::string> command = prefix;
  command.push_back(daemon_path());
  command.insert(command.end(), arguments.begin(), arguments.end());
  const Pipe err = make_pipe();
  const pid_t pid = spawn(command, err.write_end, -1);
  close(err.write_end);
  int status = 0;
  if (!eventually([&] { return waitpid(pid, &status, WNOHANG) == pid; }, 10)) {
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
  }
  Ended ended{status_of(status), drain(err.read_end)};
  close(err.read_end);
  return ended;
}

}  // namespace tensorbroker::test
