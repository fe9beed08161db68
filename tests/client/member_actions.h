// What a member of an instance's group is asked to do, in a process of its own (support/other_user.h).

#ifndef TENSORBROKER_TESTS_CLIENT_MEMBER_ACTIONS_H_
#define TENSORBROKER_TESTS_CLIENT_MEMBER_ACTIONS_H_

#include <tensorbroker/tensorbroker.h>

#include <initializer_list>
#include <map>
#include <optional>
#include <string>

namespace tensorbroker::test {

// A float tensor of these values, in memory of its own; and its values, each followed by a blank.
Tensor of(std::initializer_list<float> values);
std::string text(const Tensor& tensor);

// One client, connected at first use, and what it holds. Asked "<action> <name>".
class MemberActions {
 public:
  explicit MemberActions(ConnectOptions options) : options_(std::move(options)) {}

  std::string operator()(const std::string& question);

 private:
  Client& client();

  std::string get(const std::string& name);
  std::string list(const std::string&);
  std::string wait(const std::string& name);
  std::string open(const std::string& handle);
  std::string sessions(const std::string&);
  std::string close(const std::string&);
  // Writes to a private copy.
  std::string change(const std::string& name);
  // What would change something of the owner's, and is refused.
  std::string write(const std::string& way);
  // What a forked child of a forked child gets: each has an heir's session.
  std::string fork_and_get(const std::string& name);
  // What of the instance this user can open for writing, or make writable.
  std::string map(const std::string&);

  const ConnectOptions options_;
  std::optional<Client> client_;
  std::map<std::string, Tensor> held_;
};

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_CLIENT_MEMBER_ACTIONS_H_
