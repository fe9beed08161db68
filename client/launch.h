// Finding a broker, and starting one where there is none. Thread safe, except beside setenv.

#ifndef TENSORBROKER_CLIENT_LAUNCH_H_
#define TENSORBROKER_CLIENT_LAUNCH_H_

#include <tensorbroker/client.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "client/channel.h"
#include "client/limit.h"
#include "proto/segment_name.h"

namespace tensorbroker {

// Which broker a client wants.
struct Target {
  InstanceName name;             // its uid is the owner's, who need not be this user
  std::string runtime_dir;       // absolute
  bool dir_is_explicit = false;  // the caller named it: a broker elsewhere is an error, not an alternative
  bool autostart = true;
  std::optional<std::uint64_t> capacity;  // bytes, for a broker that is started
};

// The target that options and environment describe. Throws InvalidArgumentError for a bad instance name, and for an
// owner that there is not.
Target make_target(const ConnectOptions& options);

// Whether this process may start the broker where there is none: another user's is for him to start.
bool may_start_broker(const Target& target);
// Throws BrokerUnavailableError that says so, and what to do.
[[noreturn]] void throw_no_broker(const Target& target);

// Where tensorbrokerd lies, for packages that carry it; empty takes it back. $TENSORBROKER_DAEMON goes before, the
// installed path and $PATH after.
void set_daemon_path(const std::string& path);
// The path that would be started, or "" where none is found.
std::string find_daemon();

// A connection to the living broker; null where there is none. Throws Error naming both directories where it has
// another runtime directory than the explicit one, and for what is wrong with the directory.
std::shared_ptr<Socket> connect_to_broker(const Target& target);
// The same at the socket in a directory that was checked. Throws AccessError where somebody else than the owner listens
// there, or this user may not connect.
std::shared_ptr<Socket> connect_in(const std::string& runtime_dir, const InstanceName& name);

// Starts tensorbrokerd detached, and waits until it is ready or ended; losing the race against another start is no
// error. Throws BrokerUnavailableError with what it said on stderr.
void start_broker(const Target& target, const Limit& limit);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_LAUNCH_H_
