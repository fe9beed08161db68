// Keeps the names that others find this instance by: lock and segments in /dev/shm, the socket in the runtime
// directory.
//
// What a cleaner removed is put back where that can be: the lock is taken anew, the socket bound anew. A segment's name
// cannot, nor can the pages of a catalog or arena that somebody truncated: whoever comes next would find a part of the
// instance, and so it has to end. On the loop's thread; sleeps while nobody touches anything.

#ifndef TENSORBROKER_BROKER_INSTANCE_NAMES_H_
#define TENSORBROKER_BROKER_INSTANCE_NAMES_H_

#include <cstdint>
#include <functional>
#include <string>

#include "broker/event_loop.h"
#include "broker/name_watch.h"
#include "broker/startup.h"
#include "proto/instance_lock.h"
#include "proto/session.h"

namespace tensorbroker::broker {

class InstanceNames {
 public:
  enum class Look : std::uint8_t { kSizes, kNames };  // at the segments: whether they were truncated; or removed, too
  struct Actions {
    std::function<std::string(Look)> what_is_lost;  // a segment and its fate; "" for none
    std::function<void()> listen;                   // binds the socket anew; may throw Error
    std::function<void()> end_instance;             // called once
  };

  InstanceNames(EventLoop& loop, const Place& place, InstanceLock& lock, Actions actions);

  // Once the instance is served: watches the lock, the socket and the catalog's and arena's names.
  void start(const std::string& catalog, const std::string& arena);

  void add_session(const SessionSegment& session);
  // Before its name is removed.
  void forget_session(const SessionSegment& session);

  void look(Look look);

 private:
  bool keep_lock();
  bool keep_socket();
  void watch_places();

  const Place place_;
  InstanceLock& lock_;
  const Actions actions_;
  NameWatch watch_;
  Timer again_;
  bool started_ = false;
  bool ended_ = false;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_INSTANCE_NAMES_H_
