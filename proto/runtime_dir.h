// The runtime directory: where an instance's socket and log lie.

#ifndef TENSORBROKER_PROTO_RUNTIME_DIR_H_
#define TENSORBROKER_PROTO_RUNTIME_DIR_H_

#include <string>

namespace tensorbroker {

// `explicit_dir` if not empty, else $TENSORBROKER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/tensorbroker, else
// /tmp/tensorbroker-<uid>. Absolute. Reads the environment: not safe beside setenv.
std::string choose_runtime_dir(const std::string& explicit_dir);

// Creates the directory with mode 0700 where it is absent (its parent must exist), and refuses with an Error that says
// what to do where it is a link, not a directory, not ours, or open to others.
void prepare_runtime_dir(const std::string& dir);

// The same checks without creating anything; false where it is absent.
bool check_runtime_dir(const std::string& dir);

// <dir>/<instance>.sock and <dir>/<instance>.log. Throws InvalidArgumentError where the socket's path is longer than
// the 107 bytes that sockaddr_un holds.
std::string socket_path(const std::string& dir, const std::string& instance);
std::string log_path(const std::string& dir, const std::string& instance);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_RUNTIME_DIR_H_
