// What one client, one process or one user may have at most; 0: no limit. See broker/options.h for the flags.

#ifndef TENSORBROKER_PROTO_QUOTAS_H_
#define TENSORBROKER_PROTO_QUOTAS_H_

#include <cstdint>

namespace tensorbroker {

struct Quotas {
  std::uint64_t session_tensors = 0;
  std::uint64_t user_tensors = 0;
  std::uint64_t user_sessions = 0;
  std::uint64_t user_connections = 0;
  std::uint64_t process_connections = 128;
  double patience_seconds = 10;  // with an unfinished handshake or message
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_QUOTAS_H_
