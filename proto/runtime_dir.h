// The runtime directory: where an instance's socket and log lie.

#ifndef TENSORBROKER_PROTO_RUNTIME_DIR_H_
#define TENSORBROKER_PROTO_RUNTIME_DIR_H_

#include <sys/types.h>

#include <string>

namespace tensorbroker {

// Who is to reach the directory: this user alone, or others as well.
enum class Reach { kOwn, kShared };

// `explicit_dir` if not empty, else $TENSORBROKER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/tensorbroker (kOwn only: nobody
// else can enter that), else /tmp/tensorbroker-<owner>. Absolute. Reads the environment: not safe beside setenv.
std::string choose_runtime_dir(const std::string& explicit_dir, uid_t owner, Reach reach);

// Creates the directory with mode 0700 where it is absent (its parent must exist), and refuses with an Error that says
// what to do where it is a link, not a directory, not this user's, writable by its group, or open to others.
void prepare_runtime_dir(const std::string& dir);

// The same checks without creating anything, for a directory of `owner`; false where it is absent. AccessError where it
// is a link or somebody else's.
bool check_runtime_dir(const std::string& dir, uid_t owner);

// Lets the members of a group enter a directory of this user's (mode 0750). Throws Error where it is shared with
// another one, and as throw_not_shared.
void share_runtime_dir(const std::string& dir, gid_t group);

// Throws what is due where a file or directory could not be given to a group; `error`: the errno. EPERM: AccessError.
[[noreturn]] void throw_not_shared(const std::string& path, gid_t group, int error);

// Whether there is a socket of `owner`. Throws AccessError where it is something else, somebody else's, or in a
// directory that this user may not enter.
bool check_socket(const std::string& path, uid_t owner);

// <dir>/<instance>.sock and <dir>/<instance>.log. Throws InvalidArgumentError where the socket's path is longer than
// the 107 bytes that sockaddr_un holds.
std::string socket_path(const std::string& dir, const std::string& instance);
std::string log_path(const std::string& dir, const std::string& instance);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_RUNTIME_DIR_H_
