// Waits that block no thread of their own: one thread of the process serves them all, and puts what they come to into
// the queue of whoever asked.
//
// The thread starts with the first wait and ends a second after the last; it takes no signals. It sleeps on a futex
// word of the service's own and on those of the names (or, where they are more than the kernel takes at once, on those
// of whole catalogs), so a wait that is added or given up wakes it. Where the kernel cannot sleep on several words it
// looks every hundredth of a second. Thread safe; nothing here blocks for longer than the thread takes for a round of
// looks. A forked child has none of its parent's waits.

#ifndef TENSORBROKER_CLIENT_WAIT_SERVICE_H_
#define TENSORBROKER_CLIENT_WAIT_SERVICE_H_

#include <tensorbroker/client.h>

#include <cstdint>
#include <memory>
#include <string_view>

#include "client/wait_queue.h"

namespace tensorbroker {

// Has the queue told, under the number returned, of the newest version of `name` once there is one above `newer_than`;
// that the time has passed (absent: never; 0: looks once); or an error, ClosedError where the client is closed
// meanwhile. Throws as Client::wait does.
std::uint64_t start_wait(const std::shared_ptr<WaitQueue>& queue, const Client& client, std::string_view name,
                         std::uint64_t newer_than, Client::Timeout timeout);
// The queue is told nothing of it any more. Does nothing where it is over.
void cancel_wait(WaitQueue& queue, std::uint64_t id);

// Has the thread, where there is one, look at everything now. Takes no lock.
void nudge_wait_service() noexcept;

// For fork.cc. The lock comes before the registry's.
void lock_wait_service() noexcept;
void unlock_wait_service() noexcept;
void renew_wait_service_in_child() noexcept;  // REQUIRES: locked; unlocks. The registry is not locked.

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_WAIT_SERVICE_H_
