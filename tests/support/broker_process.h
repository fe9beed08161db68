// A broker of a test's own: a real tensorbrokerd in the foreground, with an instance and a runtime directory that
// nobody else has. Whatever becomes of it, nothing is left behind. The daemon is $TENSORBROKER_DAEMON.

#ifndef TENSORBROKER_TESTS_SUPPORT_BROKER_PROCESS_H_
#define TENSORBROKER_TESTS_SUPPORT_BROKER_PROCESS_H_

#include <sys/types.h>
#include <tensorbroker/client.h>

#include <optional>
#include <string>
#include <vector>

#include "proto/segment_name.h"

namespace tensorbroker::test {

// A runtime directory and an instance name; the broker that may run there at the end is stopped, its files removed.
class TemporaryInstance {
 public:
  TemporaryInstance();
  ~TemporaryInstance();
  TemporaryInstance(const TemporaryInstance&) = delete;
  TemporaryInstance& operator=(const TemporaryInstance&) = delete;

  const InstanceName& name() const { return name_; }
  const std::string& runtime_dir() const { return runtime_dir_; }
  // For Client::connect: this instance, no autostart, a generous timeout.
  ConnectOptions connect_options() const;
  // The names of its files in /dev/shm, the lock included.
  std::vector<std::string> files() const;
  std::string log() const;

 private:
  InstanceName name_;
  std::string runtime_dir_;
};

// How a process ended.
struct Ended {
  int status = 0;   // exit status, or 128 + signal
  std::string err;  // what it wrote to stderr
};

class BrokerProcess {
 public:
  // Starts the broker and waits until it is ready. `arguments` come after instance and runtime directory.
  explicit BrokerProcess(std::vector<std::string> arguments = {"--capacity", "256MiB"});
  ~BrokerProcess();

  pid_t pid() const { return pid_; }
  const TemporaryInstance& at() const { return at_; }
  ConnectOptions connect_options() const { return at_.connect_options(); }
  Client connect() const { return Client::connect(at_.connect_options()); }

  // Sends the signal and waits for the end.
  Ended end(int signal);
  // A successor, with the same arguments or other ones.
  void start();
  void start(std::vector<std::string> arguments);

 private:
  TemporaryInstance at_;
  std::vector<std::string> arguments_;
  pid_t pid_ = -1;
  int stderr_ = -1;
};

// Runs tensorbrokerd with these arguments until it ends by itself, at most ten seconds. `prefix`: a command before it.
Ended run_daemon(const std::vector<std::string>& arguments, const std::vector<std::string>& prefix = {});

// Waits until `condition` holds, at most `seconds`; says whether it does.
template <class Condition>
bool eventually(Condition condition, double seconds = 20);

}  // namespace tensorbroker::test

#include <unistd.h>

#include <chrono>

namespace tensorbroker::test {

template <class Condition>
bool eventually(Condition condition, double seconds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    usleep(2000);
  }
  return true;
}

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_SUPPORT_BROKER_PROCESS_H_
