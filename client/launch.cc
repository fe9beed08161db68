#include "client/launch.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <sstream>
#include <system_error>
#include <thread>
#include <vector>

#include "proto/instance_lock.h"
#include "proto/name.h"
#include "proto/runtime_dir.h"
#include "proto/user_names.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr int kIdleExitSeconds = 60;  // of a broker that nobody asked for
constexpr std::size_t kMostStderr = 4096;

std::string environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr ? value : "";
}

std::mutex& path_mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

std::string& path_set() {
  static auto* path = new std::string;
  return *path;
}

bool is_executable(const std::string& path) {
  struct stat status{};
  return !path.empty() && stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

std::string find_in_path(const std::string& program) {
  std::istringstream path(environment("PATH"));
  for (std::string dir; std::getline(path, dir, ':');) {
    std::string candidate = std::string(dir).append("/").append(program);
    if (!dir.empty() && is_executable(candidate)) return candidate;
  }
  return "";
}

// The read end of the pipe that a started daemon's stderr goes to, and its pid.
struct Started {
  pid_t pid = -1;
  int stderr_fd = -1;
};

Started spawn(const std::vector<std::string>& arguments) {
  std::array<int, 2> pipe_ends{};
  if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
    throw BrokerUnavailableError(std::string("cannot start a broker: pipe: ") + std::strerror(errno));
  }
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&files, pipe_ends[1], STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  Started started;
  const int error = posix_spawn(&started.pid, argv[0], &files, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  close(pipe_ends[1]);
  if (error != 0) {
    close(pipe_ends[0]);
    throw BrokerUnavailableError("cannot start " + arguments[0] + ": " + std::strerror(error));
  }
  started.stderr_fd = pipe_ends[0];
  return started;
}

// Reads until the writers are gone or `limit` passed.
std::string read_stderr(int fd, const Limit& limit) {
  std::string text;
  std::array<char, 1024> buffer;
  while (!limit.passed() && !limit.is_closed()) {
    pollfd p{fd, POLLIN, 0};
    const auto slice = std::min<Limit::Clock::duration>(kPollSlice, limit.remaining());
    if (poll(&p, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(slice).count())) <= 0) continue;
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n == 0 || (n < 0 && errno != EINTR)) break;
    if (n > 0 && text.size() < kMostStderr) text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// Waits for a process that outlived its caller's patience, so that it leaves no zombie.
void reap_later(pid_t pid) noexcept try {
  std::thread([pid] {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
  }).detach();
} catch (const std::system_error&) {
  return;  // no thread to be had: the zombie lasts as long as this process
}

// The exit status; nullopt where the process did not end in time, or somebody else waited for it (SIGCHLD ignored).
std::optional<int> wait_for(pid_t pid, const Limit& limit) {
  for (;;) {
    int status = 0;
    const pid_t found = waitpid(pid, &status, WNOHANG);
    if (found == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (found < 0 && errno != EINTR) return std::nullopt;
    if (limit.passed() || limit.is_closed()) {
      reap_later(pid);
      return std::nullopt;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

bool is_own(const Target& target) { return target.name.uid == geteuid(); }

// Of the process that listens, as the kernel says.
void check_listener(const Socket& socket, const std::string& path, uid_t owner) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket.fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == owner) return;
  throw AccessError("uid " + std::to_string(peer.uid) + " listens on " + path + ", where the broker of uid " +
                    std::to_string(owner) + " should; choose another directory with --runtime-dir");
}

}  // namespace

Target make_target(const ConnectOptions& options) {
  Target target;
  const std::string owner = options.owner.empty() ? environment("TENSORBROKER_OWNER") : options.owner;
  target.name.uid = owner.empty() ? geteuid() : find_user(owner);
  target.name.instance = options.instance;
  if (target.name.instance.empty()) target.name.instance = environment("TENSORBROKER_INSTANCE");
  if (target.name.instance.empty()) target.name.instance = "default";
  check_instance(target.name.instance);
  target.runtime_dir =
      choose_runtime_dir(options.runtime_dir, target.name.uid, is_own(target) ? Reach::kOwn : Reach::kShared);
  target.dir_is_explicit = !options.runtime_dir.empty();
  target.autostart = options.autostart.value_or(environment("TENSORBROKER_AUTOSTART") != "0");
  target.capacity = options.capacity;
  socket_path(target.runtime_dir, target.name.instance);  // says at once where that is too long
  return target;
}

bool may_start_broker(const Target& target) { return target.autostart && is_own(target); }

void throw_no_broker(const Target& target) {
  const std::string what = "no broker of instance '" + target.name.instance + "' ";
  if (is_own(target)) {
    throw BrokerUnavailableError(what + "is running, and autostart is off; start one with `tensorbroker --instance " +
                                 target.name.instance + " start`");
  }
  const std::string uid = std::to_string(target.name.uid);
  throw BrokerUnavailableError(what + "of uid " + uid + " is running in " + target.runtime_dir + "; uid " + uid +
                               " starts it with `tensorbrokerd --group GROUP`, and says where with --runtime-dir");
}

void set_daemon_path(const std::string& path) {
  const std::lock_guard held(path_mutex());
  path_set() = path;
}

std::string find_daemon() {
  std::string wanted = environment("TENSORBROKER_DAEMON");
  if (!wanted.empty()) return wanted;  // a bad one is an error of the start, not a reason to take another
  {
    const std::lock_guard held(path_mutex());
    if (!path_set().empty()) return path_set();
  }
#ifdef TENSORBROKER_DAEMON_PATH
  if (is_executable(TENSORBROKER_DAEMON_PATH)) return TENSORBROKER_DAEMON_PATH;
#endif
  return find_in_path("tensorbrokerd");
}

std::shared_ptr<Socket> connect_to_broker(const Target& target) {
  std::string dir = target.runtime_dir;
  if (const auto living = living_broker(target.name);
      living && !living->runtime_dir.empty() && living->runtime_dir != dir) {
    if (target.dir_is_explicit) {
      throw Error(ErrorCode::kRuntime, "the broker of instance " + target.name.instance + " (pid " +
                                           std::to_string(living->pid) + ") has the runtime directory " +
                                           living->runtime_dir + ", not " + dir +
                                           "; connect with that one, or choose "
                                           "another instance");
    }
    dir = living->runtime_dir;
  }
  if (!check_runtime_dir(dir, target.name.uid)) return nullptr;
  return connect_in(dir, target.name);
}

std::shared_ptr<Socket> connect_in(const std::string& runtime_dir, const InstanceName& name) {
  const std::string path = socket_path(runtime_dir, name.instance);
  if (!check_socket(path, name.uid)) return nullptr;
  auto socket = Socket::connect(path);
  if (socket) {
    check_listener(*socket, path, name.uid);
  } else if (errno == EACCES) {
    throw AccessError("uid " + std::to_string(geteuid()) + " may not connect to " + path + " of uid " +
                      std::to_string(name.uid) +
                      ": its broker has to run with --group, and this user has to be a member of that group");
  }
  return socket;
}

void start_broker(const Target& target, const Limit& limit) {
  const std::string daemon = find_daemon();
  if (daemon.empty()) {
    throw BrokerUnavailableError("no broker of instance " + target.name.instance +
                                 " is running, and tensorbrokerd, which would start one, was not found; install it, or "
                                 "set TENSORBROKER_DAEMON to its path");
  }
  std::vector<std::string> arguments{
      daemon,          "--detach",         "--instance",  target.name.instance,
      "--runtime-dir", target.runtime_dir, "--idle-exit", std::to_string(kIdleExitSeconds)};
  if (target.capacity) {
    arguments.emplace_back("--capacity");
    arguments.push_back(std::to_string(*target.capacity));
  }
  const Started started = spawn(arguments);
  const std::string said = read_stderr(started.stderr_fd, limit);
  close(started.stderr_fd);
  const auto status = wait_for(started.pid, limit);
  if (!status) return;  // perhaps it is ready nevertheless: the caller connects, or runs out of time
  if (*status == 0 || living_broker(target.name)) return;
  throw BrokerUnavailableError("cannot start a broker of instance " + target.name.instance + ": " +
                               (said.empty() ? daemon + " ended with status " + std::to_string(*status) : said));
}

}  // namespace tensorbroker
