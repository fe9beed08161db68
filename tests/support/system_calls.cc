#include "tests/support/system_calls.h"

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace tensorbroker::test {

// Two calls of getppid mark its beginning and its end.
long count_system_calls(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    syscall(SYS_getppid);
    work();
    syscall(SYS_getppid);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  int marks = 0;
  long entries_and_exits = 0;
  while (marks < 4 && ptrace(PTRACE_SYSCALL, child, nullptr, nullptr) == 0 && waitpid(child, &status, 0) == child &&
         WIFSTOPPED(status)) {
    user_regs_struct registers{};
    ptrace(PTRACE_GETREGS, child, nullptr, &registers);
    if (registers.orig_rax == SYS_getppid) {
      ++marks;  // at its entry and at its exit
    } else if (marks > 0) {
      ++entries_and_exits;
    }
  }
  ptrace(PTRACE_CONT, child, nullptr, nullptr);
  waitpid(child, &status, 0);
  EXPECT_EQ(marks, 4) << "the child ended early";
  return entries_and_exits / 2;
}

}  // namespace tensorbroker::test
