// Which of the mapped session segments a fault has shown to be truncated: a client cut its own off. What reads one goes
// on with zeros (tensorbroker/sigbus.h), and its session is revoked. On the loop's thread.

#ifndef TENSORBROKER_BROKER_TRUNCATED_SESSIONS_H_
#define TENSORBROKER_BROKER_TRUNCATED_SESSIONS_H_

#include <cstdint>
#include <map>
#include <vector>

#include "proto/session.h"

namespace tensorbroker::broker {

class TruncatedSessions {
 public:
  // Told of each mapping, and before it is unmapped.
  void add(const SessionSegment& session) { mapped_.insert_or_assign(session.id(), &session.segment().truncation()); }
  void remove(const SessionSegment& session) { mapped_.erase(session.id()); }

  std::vector<std::uint64_t> found() const {
    std::vector<std::uint64_t> sessions;
    for (const auto& [session, truncation] : mapped_) {
      if (truncation->any()) sessions.push_back(session);
    }
    return sessions;
  }

 private:
  std::map<std::uint64_t, const Truncation*> mapped_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_TRUNCATED_SESSIONS_H_
