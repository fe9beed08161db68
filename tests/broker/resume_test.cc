// Who may go on as a session: its own process, and for an heir a child of its parent. Real processes each time.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>

#include "client/session_lock.h"
#include "hostile_test.h"

namespace tensorbroker::test {
namespace {

// What a process saw and did, for others to see.
struct Shared {
  std::atomic<std::uint64_t> session;
  std::atomic<std::uint64_t> heir;
  std::atomic<int> answer;  // 1 + error code
  std::atomic<bool> go;
};

class Resuming : public HostileTest {
 protected:
  ~Resuming() override { munmap(shared_, sizeof *shared_); }

  // What the broker answers to a Hello from this process.
  ErrorCode say_hello(std::uint64_t session) const {
    const auto socket = connect();
    return error_of(ask(*socket, hello(session)));
  }
  // The same from a child of this process.
  ErrorCode hello_of_child(std::uint64_t session) const {
    const pid_t child = fork();
    if (child == 0) _exit(static_cast<int>(say_hello(session)));
    int status = -1;
    waitpid(child, &status, 0);
    return static_cast<ErrorCode>(WEXITSTATUS(status));
  }
  static void end(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }

  Shared* shared_ =
      static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
};

TEST_F(Resuming, AnotherProcessIsRefusedAndTheSessionGoesOn) {
  start();
  const RawSession session = attach();
  EXPECT_EQ(hello_of_child(session.id), ErrorCode::kInvalidArgument);
  expect_logged("session " + std::to_string(session.id) + " is that of pid " + std::to_string(getpid()));
  const auto stats =
      ask(*session.socket, message(schema::Request::Stats, [](Builder& b) { return schema::CreateStats(b); }));
  EXPECT_EQ(error_of(stats), ErrorCode::kOk);
}

TEST_F(Resuming, ItsOwnProcessMayAndLosesTheConnectionBefore) {
  start();
  const RawSession session = attach();
  const auto anew = connect();
  const auto welcome = ask(*anew, hello(session.id));
  ASSERT_EQ(error_of(welcome), ErrorCode::kOk) << text_of(welcome);
  EXPECT_TRUE(body_of<schema::Welcome>(welcome->item()).resumed());
  EXPECT_TRUE(is_closed(*session.socket));
}

TEST_F(Resuming, ASuccessorKnowsTheProcess) {
  start();
  const RawSession session = attach();
  broker_->end(SIGKILL);
  broker_->start();
  EXPECT_EQ(hello_of_child(session.id), ErrorCode::kInvalidArgument);
  EXPECT_EQ(say_hello(session.id), ErrorCode::kOk);
}

TEST_F(Resuming, AnHeirIsForTheChildrenOfItsParentAndThenForOne) {
  start();
  const RawSession session = attach();
  const auto heir = map_and_lock_session(broker_->at().name(), session.heir, true, {});
  const pid_t child = fork();
  if (child == 0) {
    const bool grandchild_refused = hello_of_child(session.heir) == ErrorCode::kInvalidArgument;
    static std::shared_ptr<Socket> socket = connect();
    const bool taken = error_of(ask(*socket, hello(session.heir))) == ErrorCode::kOk;
    const bool still_refused = hello_of_child(session.heir) == ErrorCode::kInvalidArgument;
    shared_->answer = 1 + (grandchild_refused ? 1 : 0) + (taken ? 2 : 0) + (still_refused ? 4 : 0);
    for (;;) pause();
  }
  EXPECT_TRUE(eventually([&] { return shared_->answer != 0; }));
  EXPECT_EQ(shared_->answer, 8);
  EXPECT_EQ(say_hello(session.heir), ErrorCode::kInvalidArgument) << "its parent has a session of its own";
  EXPECT_EQ(hello_of_child(session.heir), ErrorCode::kInvalidArgument) << "nor is it for a sibling";
  end(child);
}

TEST_F(Resuming, AChildMayWhoseParentHasEndedMeanwhile) {
  start();
  const pid_t parent = fork();
  if (parent == 0) {
    static const RawSession session = attach();
    static const auto heir = map_and_lock_session(broker_->at().name(), session.heir, true, {});
    const pid_t child = fork();
    if (child == 0) {
      while (!shared_->go) usleep(1000);
      shared_->answer = 1 + static_cast<int>(say_hello(session.heir));
      _exit(0);
    }
    shared_->session = session.id;
    for (;;) pause();
  }
  ASSERT_TRUE(eventually([&] { return shared_->session != 0; }));
  end(parent);
  shared_->go = true;
  EXPECT_TRUE(eventually([&] { return shared_->answer != 0; }));
  EXPECT_EQ(shared_->answer - 1, static_cast<int>(ErrorCode::kOk));
  expect_reclaimed();
}

// Makes a child that has this pid; 0 where that cannot be had.
pid_t fork_with_pid(pid_t wanted, const std::function<void()>& work) {
  for (int attempt = 0; attempt < 200; ++attempt) {
    std::ofstream last("/proc/sys/kernel/ns_last_pid");
    last << wanted - 1 << std::flush;
    if (!last) return 0;
    const pid_t child = fork();
    if (child == 0) {
      if (getpid() == wanted) work();
      _exit(0);
    }
    if (child == wanted) return child;
    waitpid(child, nullptr, 0);
  }
  return 0;
}

TEST_F(Resuming, AReusedPidIsAnotherProcess) {
  start();
  const pid_t first = fork();
  if (first == 0) {
    static const RawSession session = attach();
    shared_->session = session.id;
    for (;;) pause();
  }
  ASSERT_TRUE(eventually([&] { return shared_->session != 0; }));
  const std::string path = "/dev/shm/" + broker_->at().name().segment(SegmentKind::kSession, shared_->session);
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  // Whoever wants the leases of the dead to stay takes their lock before the broker looks.
  kill(broker_->pid(), SIGSTOP);
  end(first);
  ASSERT_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
  const pid_t second = fork_with_pid(first, [&] {
    while (!shared_->go) usleep(1000);
    shared_->answer = 1 + static_cast<int>(say_hello(shared_->session));
  });
  kill(broker_->pid(), SIGCONT);
  shared_->go = true;
  if (second != 0) {
    EXPECT_TRUE(eventually([&] { return shared_->answer != 0; }));
    EXPECT_EQ(shared_->answer - 1, static_cast<int>(ErrorCode::kInvalidArgument));
    waitpid(second, nullptr, 0);
  }
  close(fd);
  expect_reclaimed();
  if (second == 0) GTEST_SKIP() << "needs the right to say which pid comes next";
}

}  // namespace
}  // namespace tensorbroker::test
