// A session's segment mapped by its client: the mapping holds the lock that proves this process alive.
//
// The segment's file is locked (flock), mapped and closed again while fork is held off, so that exactly the mappings
// keep the lock: it outlives whatever the user does to descriptors, and ends with exec, SIGKILL or unmapping.

#ifndef TENSORBROKER_CLIENT_SESSION_LOCK_H_
#define TENSORBROKER_CLIENT_SESSION_LOCK_H_

#include <cstdint>
#include <memory>

#include "client/received_file.h"
#include "proto/session.h"

namespace tensorbroker {

// Maps and locks the segment of a session, through the descriptor that came for it, or else opened by name.
// `inherited`: the mapping goes over to forked children (an heir's). Throws as SessionSegment::open does,
// CorruptSegmentError where what came is another session's, and RuntimeError where somebody else holds the lock.
// REQUIRES: hold_fork() is held, or this is the thread that forks.
std::unique_ptr<SessionSegment> map_and_lock_session(const InstanceName& name, std::uint64_t id, bool inherited,
                                                     ReceivedFile received);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_SESSION_LOCK_H_
