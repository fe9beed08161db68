// Which sessions are connected, which live, and what becomes of them when they die.
//
// Only the proof of life (liveness.h) decides; a closed connection or a process that ended (pidfd) merely prompts the
// look, and so does somebody's letting go of its segment (closing_watch.h), which is how a client is found that has
// executed another program and kept its connection. A look that finds the client alive is repeated, soon at first (the
// kernel drops the lock a moment after it closes sockets and files), then each second, for as long as the session has
// no connection. An heir that no child took over is not looked at while its parent lives. With every session connected,
// nothing here wakes up.
// On the loop's thread.

#ifndef TENSORBROKER_BROKER_SESSION_REGISTRY_H_
#define TENSORBROKER_BROKER_SESSION_REGISTRY_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "broker/channel.h"
#include "broker/closing_watch.h"
#include "broker/event_loop.h"
#include "broker/liveness.h"
#include "broker/store.h"
#include "broker/truncated_sessions.h"

namespace tensorbroker::broker {

class SessionRegistry {
 public:
  // `on_change` is called after a look of the registry's own that may have freed something; not within a call.
  SessionRegistry(EventLoop& loop, Store& store, const TruncatedSessions& truncated, std::function<void()> on_change);

  // Looks after every session that the store has, as a successor does: until all of them have connected again, retired
  // entries are looked at each second, since a release rung at a dead broker is lost.
  void adopt_all();

  // A new session for a client, without connection yet. Throws as Store::add_session does, and RuntimeError where the
  // broker is out of descriptors; there is no session then.
  std::uint64_t add(uid_t uid, pid_t pid);
  // A session to be inherited by the next forked child of `parent`; 0 where none is to be had.
  std::uint64_t add_heir(std::uint64_t parent);
  // What became of the heir of `parent`: `used` (0: none) was taken over by a child. Others that nobody has locked are
  // removed: the parent says that it has none.
  void settle_heirs(std::uint64_t parent, std::uint64_t used);

  // Whether the client holds its session's lock. False: it is dead or never locked it; remove() it then.
  bool alive(std::uint64_t session);

  // Whether the process of this channel may go on as the session: it is the one that was attached, or, where an heir
  // was not taken over yet, a child of its parent. Throws InvalidArgumentError.
  void check_claim(std::uint64_t session, const Channel& channel);
  // The session talks over this channel, and is its process, from now on; another one that it had is closed.
  void connect(std::uint64_t session, Channel& channel);
  // The channel is gone.
  void disconnect(std::uint64_t session, const Channel& channel);

  // Revokes the session: frees what it has, and that of its heirs that nobody took over.
  void remove(std::uint64_t session, const char* why);

  // Looks at all sessions; whether any had ended, and was revoked. For when something is short; looks that follow each
  // other at once are one.
  bool remove_ended();

  bool has(std::uint64_t session) const { return watched_.contains(session); }
  bool empty() const noexcept { return watched_.empty(); }

  // Revokes the sessions whose segments were found truncated.
  void revoke_truncated();

 private:
  struct Watched {
    Liveness liveness;
    Channel* channel = nullptr;              // null: not connected
    std::unique_ptr<ReadableWatch> process;  // readable when it ended
    bool suspect = false;                    // to be looked at until it is connected, or dead
    bool awaited = false;                    // of the predecessor, not connected since
    bool seen_alive = false;                 // before that its lock proves nothing
    bool closed = false;                     // somebody let go of its segment: to be looked at for a moment
  };

  Watched& watch(std::uint64_t session);
  void watch_new(std::uint64_t session);
  void watch_process(std::uint64_t session, Watched& watched, pid_t pid);
  void suspect(Watched& watched);
  void look();
  void look_soon();
  bool look_at(std::uint64_t session);
  void somebody_closed(std::uint64_t session);
  bool heir_in_waiting(std::uint64_t session) const;

  EventLoop& loop_;
  Store& store_;
  const TruncatedSessions& truncated_;
  std::function<void()> on_change_;
  std::map<std::uint64_t, Watched> watched_;
  ClosingWatch closings_;
  Timer timer_;
  std::chrono::milliseconds delay_{};  // until the next look
  std::chrono::steady_clock::time_point all_looked_at_;
  unsigned long faults_seen_ = 0;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_SESSION_REGISTRY_H_
