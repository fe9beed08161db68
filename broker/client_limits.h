// What one client, one process or one user may have at most; 0: no limit. See options.h for the flags.

#ifndef TENSORBROKER_BROKER_CLIENT_LIMITS_H_
#define TENSORBROKER_BROKER_CLIENT_LIMITS_H_

#include <cstdint>

namespace tensorbroker::broker {

struct ClientLimits {
  std::uint64_t session_tensors = 0;
  std::uint64_t user_tensors = 0;
  std::uint64_t user_sessions = 0;
  std::uint64_t user_connections = 0;
  std::uint64_t process_connections = 128;
  double patience_seconds = 10;  // with an unfinished handshake or message
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_CLIENT_LIMITS_H_
