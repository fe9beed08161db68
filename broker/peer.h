// Who is at the other end of a connection, as far as the kernel says.

#ifndef TENSORBROKER_BROKER_PEER_H_
#define TENSORBROKER_BROKER_PEER_H_

#include <sys/types.h>

namespace tensorbroker::broker {

// Whether a client that the kernel knows as `peer` calls itself by a pid that it does not have, in its own pid
// namespace or in any up to this one. False where that cannot be known: peer 0 (another namespace), no /proc, or it has
// ended.
bool pid_is_forged(pid_t peer, pid_t claimed);

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PEER_H_
