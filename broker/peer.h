// Who is at the other end of a connection, as far as the kernel says, and who is served.

#ifndef TENSORBROKER_BROKER_PEER_H_
#define TENSORBROKER_BROKER_PEER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace tensorbroker::broker {

// The process that connected.
struct Peer {
  pid_t pid = 0;  // 0: in a pid namespace that is not to be seen here
  uid_t uid = 0;  // effective, as when it connected
  // What tells it from all others since the boot, seen from any pid namespace: its pidfd's inode, or where the kernel
  // gives those none of their own, when it started. 0: unknown. Executing another program changes nothing.
  std::uint64_t process = 0;
};

// Whom a broker serves: its owner, and those who were members of a group when they connected, by their effective or a
// supplementary gid. Root is served as everybody else is.
struct Served {
  uid_t owner = 0;
  std::optional<gid_t> group{};
};

// The peer of a connected Unix socket. Throws AccessError, naming its uid, where it is not served.
Peer admit(int socket, const Served& served);

// The pid of a connected Unix socket's peer, whoever it is; 0 where it is not to be seen here.
pid_t pid_of_peer(int socket);

// Whether a client that the kernel knows as `peer` calls itself by a pid that it does not have, in its own pid
// namespace or in any up to this one. False where that cannot be known: peer 0 (another namespace), no /proc, or it has
// ended.
bool pid_is_forged(pid_t peer, pid_t claimed);

// Of two processes, as Peer has them. False where that cannot be known.
bool are_different_processes(std::uint64_t one, std::uint64_t other);

// Whether the parent of the client that the kernel knows as `peer` is certainly another process than `parent`.
bool is_no_child_of(pid_t peer, std::uint64_t parent);

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PEER_H_
