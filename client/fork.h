// What happens to attachments when the process forks.
//
// Before: an heir is at hand where one can be had in bounded time, every lock that guards what the child needs is held
// (in the order service of waits, registry, then for each attachment state, allocator, arena, lease stripes, then the
// descriptors that came), the
// leases are copied to the heir. In the parent: the locks are given up, the heir is unmapped, the next one is asked for
// without waiting. In the child: the heir becomes its session, what the parent owned is private, the waits of its
// service are forgotten, and the broker is rung by one send. Locks that are held across a wait for the broker are never
// taken here; the child makes them anew.

#ifndef TENSORBROKER_CLIENT_FORK_H_
#define TENSORBROKER_CLIENT_FORK_H_

#include <cstdint>
#include <memory>
#include <mutex>

namespace tensorbroker {

// Installs the handlers, once for the process.
void install_fork_handlers();

// How often this process and its ancestors forked on the way to it: what was made at another count is another
// process's.
std::uint64_t forks_so_far() noexcept;

// While held no other thread forks (in the middle of locking a session's segment, say).
std::unique_lock<std::recursive_mutex> hold_fork();

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_FORK_H_
