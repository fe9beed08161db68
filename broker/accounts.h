// What is charged to each session and each user apart from extents: the tensors that they published, with their
// headers, with their blocks where these lie in no extent any more, and lease tables.
//
// What a session published stays charged to its user when the session has ended, until it is freed. Not thread safe.

#ifndef TENSORBROKER_BROKER_ACCOUNTS_H_
#define TENSORBROKER_BROKER_ACCOUNTS_H_

#include <sys/types.h>

#include <cstdint>
#include <map>

namespace tensorbroker::broker {

struct Use {
  std::int64_t bytes = 0;
  std::int64_t tensors = 0;

  Use& operator+=(const Use& other);
  Use& operator-=(const Use& other);
};

class Accounts {
 public:
  // `owner`: the user who pays for what sessions published of which nothing is known any more.
  explicit Accounts(uid_t owner) : owner_(owner) {}

  void open(std::uint64_t session, uid_t uid);
  void close(std::uint64_t session);

  // Of a session that is open, or was; one that a killed broker knew is known by its id alone.
  void charge(std::uint64_t session, const Use& use);
  void discharge(std::uint64_t session, const Use& use);

  uid_t uid_of(std::uint64_t session) const;
  Use of_session(std::uint64_t session) const;
  Use of_user(uid_t uid) const;
  std::uint64_t sessions_of(uid_t uid) const;

 private:
  struct Account {
    uid_t uid = 0;
    bool open = false;
    Use use;
  };
  struct User {
    std::uint64_t sessions = 0;
    Use use;
  };

  uid_t owner_;
  std::map<std::uint64_t, Account> sessions_;
  std::map<uid_t, User> users_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_ACCOUNTS_H_
