// Who is at the other end of a connection, as far as the kernel says.

#ifndef TENSORBROKER_BROKER_PEER_H_
#define TENSORBROKER_BROKER_PEER_H_

#include <sys/types.h>

#include <cstdint>

namespace tensorbroker::broker {

// Whether a client that the kernel knows as `peer` calls itself by a pid that it does not have, in its own pid
// namespace or in any up to this one. False where that cannot be known: peer 0 (another namespace), no /proc, or it has
// ended.
bool pid_is_forged(pid_t peer, pid_t claimed);

// What tells a process from all others since the boot, seen from any pid namespace: its pidfd's inode, or where the
// kernel gives those none of their own, when it started. 0: unknown. Executing another program changes nothing.
std::uint64_t process_of_peer(int socket, pid_t peer);

// False where that cannot be known.
bool are_different_processes(std::uint64_t one, std::uint64_t other);

// Whether the parent of the client that the kernel knows as `peer` is certainly another process than `parent`.
bool is_no_child_of(pid_t peer, std::uint64_t parent);

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PEER_H_
