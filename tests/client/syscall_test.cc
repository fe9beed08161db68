// get makes no system call: 10,000 gets of names that are not held run in a child under ptrace, which stops at each
// one.

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

using Syscalls = WithBroker;

constexpr int kGets = 10'000;

// Between two calls of getppid, the marks, the child makes `kGets` gets. Returns the system calls between them.
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

TEST_F(Syscalls, TenThousandGetsOfNamesNotHeldMakeNone) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    names.push_back("n/" + std::to_string(i));
    client_.put(names.back(), counting({16}));
  }
  const long calls = count_system_calls([&] {
    client_.get(names[0]);  // whatever the process does at the first one is done
  });
  EXPECT_LE(calls, 50);
  EXPECT_EQ(count_system_calls([&] {
              for (int i = 0; i < kGets; ++i) {
                const Tensor tensor = client_.get(names[static_cast<std::size_t>(i) % names.size()]);
                if (tensor.numel() != 16) _exit(1);
              }
            }),
            0);
}

TEST_F(Syscalls, TheCountSeesAMessage) {
  EXPECT_GT(count_system_calls([&] { client_.stats(); }), 1);
}

}  // namespace
}  // namespace tensorbroker
