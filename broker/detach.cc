#include "broker/detach.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "broker/readiness.h"

namespace tensorbroker::broker {
namespace {

constexpr int kFirstKept = 3;

[[noreturn]] void fail(const char* what) {
  throw Error(ErrorCode::kRuntime, std::string("cannot go into the background: ") + what + ": " + std::strerror(errno));
}

void write_text(int fd, const char* text, std::size_t bytes) {
  while (bytes > 0) {
    const ssize_t n = write(fd, text, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

// Reads the child's verdict to its end, which comes at the latest with the child's.
[[noreturn]] void wait_for_verdict(int fd, pid_t child) {
  std::string verdict;
  std::array<char, 512> buffer;
  while (true) {
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    verdict.append(buffer.data(), static_cast<std::size_t>(n));
  }
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (verdict == kReadyVerdict) _exit(0);
  if (verdict.empty()) verdict = "tensorbrokerd: the broker ended before it was ready; its log may say why\n";
  write_text(STDERR_FILENO, verdict.data(), verdict.size());
  _exit(1);
}

void reset_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

void reset_affinity() {
  cpu_set_t all;
  std::memset(&all, 0xff, sizeof all);  // the kernel takes those that exist and that the cpuset allows
  sched_setaffinity(0, sizeof all, &all);
}

// Moves what is kept to kFirstKept and up, and closes everything behind it.
void keep_only(Detached& kept) {
  std::array<int*, 2> fds = {&kept.parent_fd, kept.ready_fd ? &*kept.ready_fd : nullptr};
  for (int* fd : fds) {
    if (fd != nullptr && (*fd = fcntl(*fd, F_DUPFD, kFirstKept + 10)) < 0) fail("fcntl");
  }
  int next = kFirstKept;
  for (int* fd : fds) {
    if (fd == nullptr) continue;
    if (dup2(*fd, next) < 0) fail("dup2");
    fcntl(next, F_SETFD, FD_CLOEXEC);
    *fd = next++;
  }
  closefrom(next);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) fail("open /dev/null");
  for (int fd = 0; fd < kFirstKept; ++fd) dup2(null, fd);
  close(null);
}

}  // namespace

Detached detach(std::optional<int> ready_fd) {
  std::array<int, 2> verdict;
  if (pipe2(verdict.data(), O_CLOEXEC) != 0) fail("pipe2");
  const pid_t child = fork();
  if (child < 0) fail("fork");
  if (child > 0) {
    close(verdict[1]);
    wait_for_verdict(verdict[0], child);
  }
  // A second fork: the leader of the new session ends, and so nothing that is opened can become our terminal.
  setsid();
  const pid_t grandchild = fork();
  if (grandchild < 0) fail("fork");
  if (grandchild > 0) _exit(0);
  Detached kept{verdict[1], ready_fd};
  keep_only(kept);
  reset_signals();
  reset_affinity();
  umask(0077);
  if (chdir("/") != 0) fail("chdir /");
  return kept;
}

void redirect_output(const char* path) noexcept {
  const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;
  dup2(fd, STDOUT_FILENO);
  dup2(fd, STDERR_FILENO);
  close(fd);
}

}  // namespace tensorbroker::broker
