// The command line of tensorbrokerd.
//
// Pure apart from looks at the descriptor of --ready-fd and at the machine's groups. What a successor keeps from its
// predecessor's catalog is optional here: absent means that the command line did not say.

#ifndef TENSORBROKER_BROKER_OPTIONS_H_
#define TENSORBROKER_BROKER_OPTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <variant>

namespace tensorbroker::broker {

struct Options {
  std::string instance = "default";
  std::string runtime_dir;  // as given; empty: choose_runtime_dir() decides
  std::string log_level = "info";
  std::optional<int> ready_fd;
  bool detach = false;

  // Recorded in the catalog, and kept by a successor unless said again.
  std::optional<std::uint64_t> capacity;       // bytes, whole pages, > 0
  std::optional<std::uint64_t> session_limit;  // bytes; 0: none
  std::optional<std::uint64_t> user_limit;     // bytes; 0: none
  std::optional<std::uint32_t> max_tensors;
  std::optional<std::uint32_t> max_sessions;
  std::optional<double> idle_exit_seconds;  // 0: never
  std::optional<std::uint64_t> prepared;    // bytes that are prepared ahead of demand; 0: none
  std::optional<gid_t> group;               // whose members may read; recorded by the modes of catalog and arena
  // What one client, process or user may have; 0: no limit.
  std::optional<std::uint64_t> session_tensors;
  std::optional<std::uint64_t> user_tensors;
  std::optional<std::uint64_t> user_sessions;
  std::optional<std::uint64_t> user_connections;
  std::optional<std::uint64_t> process_connections;
  std::optional<double> client_timeout_seconds;
};

// The options, or the exit status where there is nothing to run: 0 after --help or --version (on `out`), above 0 after
// a bad option (a message on `err`).
std::variant<Options, int> parse_options(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_OPTIONS_H_
