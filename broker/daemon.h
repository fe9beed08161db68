// The broker as a process: its parts put together, served until told to end, and ended in good order.
//
// Construction takes the instance (startup.h) and listens; run() serves. One for each process.

#ifndef TENSORBROKER_BROKER_DAEMON_H_
#define TENSORBROKER_BROKER_DAEMON_H_

#include <functional>
#include <memory>
#include <string>

#include "broker/event_loop.h"
#include "broker/housekeeping.h"
#include "broker/idle_exit.h"
#include "broker/instance_names.h"
#include "broker/memory_work.h"
#include "broker/options.h"
#include "broker/ring_watch.h"
#include "broker/server.h"
#include "broker/services.h"
#include "broker/session_registry.h"
#include "broker/startup.h"
#include "broker/truncated_sessions.h"

namespace tensorbroker::broker {

class Daemon {
 public:
  // Throws Error with the remedy; then nothing is left behind that was not there before.
  Daemon(const Options& options, const Place& place, InstanceLock lock);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon();

  // Serves until a signal, a Stop or idleness ends it, and then ends it: in good order, or (Stop that keeps) leaving
  // everything to a successor.
  void run();

 private:
  StoreHooks hooks();
  void make_server();
  void listen();
  // Which segment of the instance is not what it was, and why; "" for none.
  std::string what_is_lost(InstanceNames::Look look) const;
  void keep_house();
  // Asks run() to return; the first one counts.
  void stop(bool keep, std::function<void()> answered);
  void end_in_order();

  // In the order in which they depend on each other.
  EventLoop loop_;
  Turns turns_{loop_, [this] { keep_house(); }};
  RingWatch rings_{loop_, turns_};
  const Place place_;
  InstanceLock lock_;
  TruncatedSessions truncated_;
  InstanceNames names_;
  Opened opened_;
  Store& store_ = opened_.store;
  SessionRegistry sessions_;
  std::unique_ptr<MemoryWork> memory_;
  IdleExit idle_;
  Housekeeping housekeeping_;
  Services services_;
  std::unique_ptr<Server> server_;

  bool ending_ = false;
  bool keep_ = false;
  std::function<void()> answered_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_DAEMON_H_
