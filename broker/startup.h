// From options to an instance that this process holds: its lock, and what it adopted or made anew.
//
// Every refusal is an Error that says what to do; a refused start leaves nothing behind, and deletes nothing of a
// living broker or of another layout.

#ifndef TENSORBROKER_BROKER_STARTUP_H_
#define TENSORBROKER_BROKER_STARTUP_H_

#include <string>

#include "broker/options.h"
#include "broker/store.h"
#include "proto/instance_lock.h"

namespace tensorbroker::broker {

// Where the instance is served, chosen and checked before anything else is touched: the option, the environment, what
// a predecessor that left its catalog used, the default. Creates the directory. Throws Error.
struct Place {
  InstanceName name;
  std::string runtime_dir;
  std::string socket;
  std::string log;
};
Place prepare_place(const Options& options);

// Takes the lock. Throws Error where another broker has it, naming its pid and its runtime directory.
InstanceLock take_lock(const Place& place);

// Adopts what a killed or kept broker left, with its recorded options unless told otherwise; else creates the
// instance. The caller holds the lock. has_segments: whether anything of the instance lies in /dev/shm, its lock apart.
struct Opened {
  Store store;
  bool adopted = false;
};
bool has_segments(const InstanceName& name);
Opened open_store(const Options& options, const Place& place, const StoreHooks& hooks);

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_STARTUP_H_
