// Waits that one thread serves: against real brokers, with the queue read as an event loop reads it.

#include "client/wait_service.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "client/client_impl.h"
#include "tests/client/with_broker.h"
#include "tests/support/leak_check.h"

namespace tensorbroker {
namespace {

using std::chrono::milliseconds;

std::uint64_t waiters(const Client& client) {
  const Client::Impl::Use connection(*client.impl());
  return Attachment::Use(connection->current())->control().waiters.load();
}

std::uint64_t leases(const Client& client) {
  const Client::Impl::Use connection(*client.impl());
  return connection->current().leases();
}

// The service's threads of this process.
int threads() {
  int count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    std::getline(file, name);
    if (name == "tb-waits") ++count;
  }
  return count;
}

// What came of the waits, by their number, read when the descriptor says so.
std::map<std::uint64_t, WaitResult> await(WaitQueue& queue, std::size_t count, int limit_ms = 20000) {
  std::map<std::uint64_t, WaitResult> results;
  while (results.size() < count) {
    pollfd descriptor{queue.descriptor(), POLLIN, 0};
    if (poll(&descriptor, 1, limit_ms) <= 0) break;
    for (WaitResult& result : queue.take()) results[result.id] = std::move(result);
  }
  return results;
}

// What this call says, in a child whose futex_waitv(2) fails with `error`.
template <class Call>
bool holds_without_waitv(int error, Call call) {
  const pid_t child = fork();
  if (child == 0) {
    sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_futex_waitv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(filter), filter};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) _exit(2);
    _exit(call() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class WaitServiceTest : public WithBroker {
 protected:
  std::uint64_t start(const std::string& name, std::uint64_t newer_than = 0, Client::Timeout timeout = {}) {
    return start_wait(queue_, client_, name, newer_than, timeout);
  }

  std::shared_ptr<WaitQueue> queue_ = std::make_shared<WaitQueue>();
};

TEST_F(WaitServiceTest, TellsWhatIsThereAndWhatComes) {
  const std::uint64_t version = client_.put("w", counting({1})).version();
  const std::uint64_t old = start("w");
  EXPECT_EQ(version_of(await(*queue_, 1).at(old).storage->generation()), version);
  const std::uint64_t id = start("w", version);
  const std::uint64_t newer = client_.put("w", counting({1}, 2)).version();
  EXPECT_EQ(version_of(await(*queue_, 1).at(id).storage->generation()), newer);
}

TEST_F(WaitServiceTest, OneThreadServesAThousandNamesOfAnotherProcess) {
  constexpr int kNames = 1000;
  std::map<std::uint64_t, int> numbers;
  for (int i = 0; i < kNames; ++i) numbers[start("w" + std::to_string(i))] = i;
  EXPECT_TRUE(test::eventually([&] { return waiters(client_) == 1; }));
  EXPECT_EQ(threads(), 1);
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < kNames; ++i) client_.put("w" + std::to_string(i), counting({1}, static_cast<float>(i)));
    _exit(0);
  }
  const auto results = await(*queue_, kNames);
  waitpid(child, nullptr, 0);
  ASSERT_EQ(results.size(), kNames);
  for (const auto& [id, result] : results) {
    EXPECT_EQ(*reinterpret_cast<const float*>(result.storage->data()), static_cast<float>(numbers.at(id)));
  }
  EXPECT_TRUE(test::eventually([&] { return waiters(client_) == 0; }));
}

// Each is waited for before it is published: none is told of by the look at the start. A wake that is missed costs a
// slice of a second; three hundred of them are more than a test may take.
TEST_F(WaitServiceTest, NoneOfThreeHundredNamesIsMissedOneByOne) {
  constexpr int kNames = 300;
  std::map<std::uint64_t, std::string> names;
  for (int i = 0; i < kNames; ++i) names[start("w" + std::to_string(i))] = "w" + std::to_string(i);
  EXPECT_TRUE(test::eventually([&] { return waiters(client_) == 1; }));
  for (const auto& [id, name] : names) {
    client_.put(name, counting({1}));
    ASSERT_TRUE(await(*queue_, 1).contains(id)) << name;
  }
}

// As above: were the thread not woken, a slice would pass each time.
TEST_F(WaitServiceTest, AddingAndGivingUpWakeTheThread) {
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t id = start("w");
    ASSERT_TRUE(test::eventually([&] { return waiters(client_) == 1; }));
    cancel_wait(*queue_, id);
    ASSERT_TRUE(test::eventually([&] { return waiters(client_) == 0; }));
  }
}

TEST_F(WaitServiceTest, WhatIsGivenUpLeavesNothing) {
  const std::uint64_t id = start("w");
  EXPECT_TRUE(test::eventually([&] { return waiters(client_) == 1; }));
  cancel_wait(*queue_, id);
  EXPECT_TRUE(test::eventually([&] { return waiters(client_) == 0; }));
  client_.put("w", counting({1}));
  EXPECT_TRUE(await(*queue_, 1, 0).empty());

  const std::uint64_t come = start("w");  // and is not taken
  pollfd descriptor{queue_->descriptor(), POLLIN, 0};
  ASSERT_EQ(poll(&descriptor, 1, 20000), 1);
  EXPECT_EQ(leases(client_), 1);
  cancel_wait(*queue_, come);
  EXPECT_EQ(leases(client_), 0);
  EXPECT_TRUE(test::eventually([&] { return threads() == 0; }));
}

TEST_F(WaitServiceTest, AQueueThatIsGoneGivesUpItsWaits) {
  start("a");
  start("b");
  EXPECT_TRUE(test::eventually([&] { return waiters(client_) == 1; }));
  queue_.reset();
  EXPECT_TRUE(test::eventually([&] { return waiters(client_) == 0; }));
}

TEST_F(WaitServiceTest, ATimeThatPassesIsNeitherResultNorError) {
  const std::uint64_t at_once = start("w", 0, milliseconds(0));
  const std::uint64_t later = start("w", 0, milliseconds(50));
  const auto results = await(*queue_, 2);
  EXPECT_FALSE(results.at(at_once).storage);
  EXPECT_FALSE(results.at(at_once).error);
  EXPECT_FALSE(results.at(later).storage);
  EXPECT_FALSE(results.at(later).error);
}

TEST_F(WaitServiceTest, ClosingTheClientEndsItsWaitsAndNoOthers) {
  Client other = broker_.connect();
  const std::uint64_t kept = start_wait(queue_, other, "w", 0, {});
  const std::uint64_t ended = start("w");
  client_.close();
  EXPECT_THROW(std::rethrow_exception(await(*queue_, 1).at(ended).error), ClosedError);
  other.put("w", counting({1}));
  EXPECT_TRUE(await(*queue_, 1).at(kept).storage);
  EXPECT_THROW(start("w"), ClosedError);
}

TEST_F(WaitServiceTest, OutlivesAKilledBrokerAndFollowsToTheNextInstance) {
  const std::uint64_t first = start("w");
  broker_.end(SIGKILL);
  broker_.start();
  const std::uint64_t version = client_.put("w", counting({1})).version();
  EXPECT_TRUE(await(*queue_, 1).at(first).storage);
  const std::uint64_t second = start("w", version);
  broker_.end(SIGTERM);
  broker_.start();
  const pid_t child = fork();  // another process: here nobody but the service finds that there is a new instance
  if (child == 0) {
    client_.put("w", counting({1}, 2));
    _exit(0);
  }
  const auto results = await(*queue_, 1);
  waitpid(child, nullptr, 0);
  EXPECT_GT(version_of(results.at(second).storage->generation()), version);
}

TEST_F(WaitServiceTest, StartsASuccessorWhereItMay) {
  ConnectOptions options = broker_.connect_options();
  options.autostart = true;
  client_.close();
  const Client client = Client::connect(options);
  const std::uint64_t id = start_wait(queue_, client, "w", 0, {});
  EXPECT_TRUE(test::eventually([&] { return waiters(client) == 1; }));
  const std::string before = broker_.at().log();
  broker_.end(SIGKILL);
  EXPECT_TRUE(test::eventually([&] { return broker_.at().log() != before; })) << "nobody started a successor";
  Client(client).put("w", counting({1}));
  EXPECT_TRUE(await(*queue_, 1).contains(id));
}

TEST_F(WaitServiceTest, SeveralInstancesAreWaitedForAtOnce) {
  const test::BrokerProcess second;
  Client other = second.connect();
  const std::uint64_t here = start("w");
  const std::uint64_t there = start_wait(queue_, other, "w", 0, {});
  other.put("w", counting({1}));
  EXPECT_TRUE(await(*queue_, 1).contains(there));
  broker_.end(SIGKILL);  // does not hold up the other one
  const std::uint64_t again = start_wait(queue_, other, "v", 0, {});
  other.put("v", counting({1}));
  EXPECT_TRUE(await(*queue_, 1).contains(again));
  broker_.start();
  client_.put("w", counting({1}));
  EXPECT_TRUE(await(*queue_, 1).contains(here));
}

// The look by the thread finds no free lease, so the broker is asked for more.
TEST_F(WaitServiceTest, AsksTheBrokerWhereOneLookDoesNotDo) {
  client_.put("w", counting({1}));
  std::vector<Tensor> held;
  while (held.size() < kInitialLeases) held.push_back(client_.get("w"));
  const std::uint64_t id = start("w");
  EXPECT_TRUE(await(*queue_, 1).at(id).storage);
}

TEST_F(WaitServiceTest, AForkedChildHasNoneOfItsParentsWaits) {
  const std::uint64_t id = start("w");
  EXPECT_TRUE(test::eventually([&] { return waiters(client_) == 1; }));
  const pid_t child = fork();
  if (child == 0) {
    bool fine = waiters(client_) == 0 && threads() == 0;
    const auto queue = std::make_shared<WaitQueue>();
    const std::uint64_t own = start_wait(queue, client_, "own", 0, {});
    client_.put("own", counting({1}));
    fine = fine && await(*queue, 1).at(own).storage;
    fine = fine && test::eventually([&] { return waiters(client_) == 0; });
    client_.close();
    fine = fine && test::eventually([&] { return test::take_snapshot().attachments == 0; });
    _exit(fine ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  client_.put("w", counting({1}));
  EXPECT_TRUE(await(*queue_, 1).at(id).storage);
}

TEST_F(WaitServiceTest, ForksAmongWaitsThatComeAndGo) {
  std::atomic<bool> over{false};
  std::thread busy([&] {
    for (int i = 0; !over; ++i) {
      const std::uint64_t version = client_.put("w", counting({1})).version();
      start("w", version - 1);
      cancel_wait(*queue_, start("w", version));
      await(*queue_, 1);
    }
  });
  for (int i = 0; i < 30; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      const auto queue = std::make_shared<WaitQueue>();
      const std::uint64_t id = start_wait(queue, client_, "w", 0, std::chrono::seconds(20));
      _exit(await(*queue, 1).contains(id) ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  over = true;
  busy.join();
}

TEST_F(WaitServiceTest, ItsThreadTakesNoSignalsButThoseItCauses) {
  start("w");
  EXPECT_TRUE(test::eventually([&] { return waiters(client_) == 1; }));  // so it runs
  int found = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream comm(task.path() / "comm");
    std::string name;
    std::getline(comm, name);
    if (name != "tb-waits") continue;
    std::ifstream status(task.path() / "status");
    std::string blocked;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("SigBlk:")) blocked = line.substr(line.find_last_of("\t ") + 1);
    }
    const auto mask = std::stoull(blocked, nullptr, 16);
    for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGALRM}) EXPECT_TRUE(mask >> (signal - 1) & 1);
    EXPECT_FALSE(mask >> (SIGBUS - 1) & 1) << "it could not be handled";
    ++found;
  }
  EXPECT_EQ(found, 1);
}

TEST_F(WaitServiceTest, DoesWithoutFutexWaitv) {
  for (const int error : {ENOSYS, EPERM}) {
    EXPECT_TRUE(holds_without_waitv(error, [&] {
      const auto queue = std::make_shared<WaitQueue>();
      const std::uint64_t first = start_wait(queue, client_, "w" + std::to_string(error), 0, {});
      if (!test::eventually([&] { return waiters(client_) == 1; })) return false;
      client_.put("w" + std::to_string(error), counting({1}));
      if (!await(*queue, 1).contains(first)) return false;
      const std::uint64_t second = start_wait(queue, client_, "none", 0, milliseconds(30));
      return await(*queue, 1).contains(second);
    }));
  }
}

}  // namespace
}  // namespace tensorbroker
