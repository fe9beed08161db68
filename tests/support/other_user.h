// Other users, for tests that only root can run: processes that have given root up for a uid that has no account.

#ifndef TENSORBROKER_TESTS_SUPPORT_OTHER_USER_H_
#define TENSORBROKER_TESTS_SUPPORT_OTHER_USER_H_

#include <sys/types.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#define SKIP_UNLESS_ROOT() \
  if (geteuid() != 0) GTEST_SKIP() << "only root can become other users"

namespace tensorbroker::test {

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups{};  // supplementary
};

// A forked process of another user, which answers what it is asked until it is destroyed, at most a minute each time.
class UserProcess {
 public:
  // `answer` runs in the other process. What it throws is answered as "<class>: <message>" for AccessError, QuotaError
  // and BrokerUnavailableError, "Error: <message>" for others.
  using Answer = std::function<std::string(const std::string& question)>;
  UserProcess(const User& user, const Answer& answer);
  ~UserProcess();
  UserProcess(const UserProcess&) = delete;
  UserProcess& operator=(const UserProcess&) = delete;

  std::string ask(const std::string& question = "");
  pid_t pid() const { return pid_; }
  // Kills it, and waits for its end.
  void kill();

 private:
  pid_t pid_ = -1;
  int socket_ = -1;
};

// What `answer` returns in a process of that user.
std::string as_user(const User& user, const std::function<std::string()>& answer);

// A copy of the daemon that everybody may execute, which $TENSORBROKER_DAEMON says while this exists.
class PublicDaemon {
 public:
  PublicDaemon();
  ~PublicDaemon();
  PublicDaemon(const PublicDaemon&) = delete;
  PublicDaemon& operator=(const PublicDaemon&) = delete;

 private:
  std::string directory_;
  std::string before_;
};

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_SUPPORT_OTHER_USER_H_
