#include "broker/accounts.h"

namespace tensorbroker::broker {

Use& Use::operator+=(const Use& other) {
  bytes += other.bytes;
  tensors += other.tensors;
  return *this;
}

Use& Use::operator-=(const Use& other) {
  bytes -= other.bytes;
  tensors -= other.tensors;
  return *this;
}

void Accounts::open(std::uint64_t session, uid_t uid) {
  sessions_[session] = {.uid = uid, .open = true, .use = {}};
  ++users_[uid].sessions;
}

void Accounts::close(std::uint64_t session) {
  const auto at = sessions_.find(session);
  if (at == sessions_.end() || !at->second.open) return;
  at->second.open = false;
  --users_[at->second.uid].sessions;
  discharge(session, {});
}

void Accounts::charge(std::uint64_t session, const Use& use) {
  Account& account = sessions_.try_emplace(session, Account{.uid = owner_, .open = false, .use = {}}).first->second;
  account.use += use;
  users_[account.uid].use += use;
}

void Accounts::discharge(std::uint64_t session, const Use& use) {
  const auto at = sessions_.find(session);
  if (at == sessions_.end()) return;
  Account& account = at->second;
  account.use -= use;
  users_[account.uid].use -= use;
  if (!account.open && account.use.bytes == 0 && account.use.tensors == 0) sessions_.erase(at);
}

uid_t Accounts::uid_of(std::uint64_t session) const {
  const auto at = sessions_.find(session);
  return at != sessions_.end() ? at->second.uid : owner_;
}

Use Accounts::of_session(std::uint64_t session) const {
  const auto at = sessions_.find(session);
  return at != sessions_.end() ? at->second.use : Use{};
}

Use Accounts::of_user(uid_t uid) const {
  const auto at = users_.find(uid);
  return at != users_.end() ? at->second.use : Use{};
}

std::uint64_t Accounts::sessions_of(uid_t uid) const {
  const auto at = users_.find(uid);
  return at != users_.end() ? at->second.sessions : 0;
}

}  // namespace tensorbroker::broker
