#include "broker/options.h"

#include <fcntl.h>
#include <tensorbroker/error.h>
#include <tensorbroker/version.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <ostream>

#include "proto/limits.h"
#include "proto/name.h"
#include "proto/user_names.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint32_t kMostTensors = 1u << 24;
constexpr std::uint32_t kMostSessions = 65536;
constexpr std::uint64_t kMostCount = 1ULL << 32;
constexpr std::uint64_t kMostBytes = 1ULL << 46;  // four times this is still well inside the address space

// A check of CLI11: the text of what is wrong, or nothing.
std::string wrong_instance(const std::string& instance) {
  try {
    check_instance(instance);
    return {};
  } catch (const InvalidArgumentError& e) {
    return e.what();
  }
}

std::string wrong_descriptor(const std::string& text) {
  int fd = -1;
  if (CLI::detail::lexical_cast(text, fd) && fd >= 0 && fcntl(fd, F_GETFD) >= 0) return {};
  return "descriptor " + text + " is not open";
}

std::string wrong_seconds(const std::string& text) {
  double seconds = 0;
  if (CLI::detail::lexical_cast(text, seconds) && std::isfinite(seconds) && seconds >= 0 && seconds <= 1e9) return {};
  return "\"" + text + "\" is not a number of seconds from 0 up";
}

std::string wrong_group(const std::string& group) {
  try {
    find_group(group);
    return {};
  } catch (const InvalidArgumentError& e) {
    return e.what();
  }
}

CLI::Option* add_size(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& target,
                      const std::string& text, std::uint64_t least) {
  return app.add_option(name, target, text)
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::Range(least, kMostBytes).description(""))
      ->type_name("SIZE");
}

void add_limits(CLI::App& app, Options& options) {
  add_size(app, "--capacity", options.capacity,
           "Bytes of tensors, such as 8GiB (default: what /dev/shm and the memory limits leave)", 1);
  add_size(app, "--session-limit", options.session_limit, "Bytes that one client may have granted; 0: no limit", 0);
  add_size(app, "--user-limit", options.user_limit, "Bytes that one user may have granted; 0: no limit", 0);
  add_size(app, "--prepared", options.prepared,
           "Bytes of empty pages kept ready for the next tensors while there are some (default: an eighth of the "
           "capacity, at most 512MiB); 0: none",
           0);
  app.add_option("--max-tensors", options.max_tensors, "Tensors and bundles published at one time")
      ->check(CLI::Range(1u, kMostTensors));
  app.add_option("--max-sessions", options.max_sessions, "Client processes attached at one time, forked ones included")
      ->check(CLI::Range(2u, kMostSessions));
  app.add_option("--idle-exit", options.idle_exit_seconds,
                 "End after so many seconds without session and tensor; 0: never (default)")
      ->check(CLI::Validator(wrong_seconds, ""))
      ->type_name("SECONDS");
}

void add_client_limits(CLI::App& app, Options& limits) {
  const auto add = [&app](const char* name, std::optional<std::uint64_t>& target, const char* text) {
    app.add_option(name, target, text)->check(CLI::Range(std::uint64_t{0}, kMostCount).description(""));
  };
  add("--session-tensors", limits.session_tensors, "Tensors that one client may have published; 0: no limit (default)");
  add("--user-tensors", limits.user_tensors, "Tensors that one user may have published; 0: no limit (default)");
  add("--user-sessions", limits.user_sessions, "Sessions of one user; 0: --max-sessions for all (default)");
  add("--user-connections", limits.user_connections,
      "Connections of one user; 0: --max-sessions and 64 more, as far as descriptors go (default)");
  add("--process-connections", limits.process_connections, "Connections of one process (default: 128); 0: no limit");
  app.add_option("--client-timeout", limits.client_timeout_seconds,
                 "End a connection whose handshake or message takes so long (default: 10); 0: never")
      ->check(CLI::Validator(wrong_seconds, ""))
      ->type_name("SECONDS");
}

void add_process_options(CLI::App& app, Options& options, std::string& group) {
  app.add_option("--instance", options.instance, "Name of the instance to serve (default: default)")
      ->check(CLI::Validator(wrong_instance, ""))
      ->type_name("NAME");
  app.add_option("--runtime-dir", options.runtime_dir,
                 "Directory of socket and log (default: $TENSORBROKER_RUNTIME_DIR, $XDG_RUNTIME_DIR/tensorbroker, "
                 "/tmp/tensorbroker-UID)")
      ->type_name("DIR");
  app.add_option("--group", group,
                 "Group (name or gid) whose members may connect and read, not write (default: this user alone)")
      ->check(CLI::Validator(wrong_group, ""))
      ->type_name("NAME");
  app.add_option("--ready-fd", options.ready_fd, "Descriptor that gets a newline when clients can connect")
      ->check(CLI::Validator(wrong_descriptor, ""))
      ->type_name("FD");
  app.add_option("--log-level", options.log_level, "trace, debug, info (default), warning, error, critical or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "critical", "off"}))
      ->type_name("LEVEL");
  app.add_flag("--detach", options.detach, "Serve in the background; return when clients can connect");
  app.set_version_flag("--version", std::string("tensorbrokerd ") + TENSORBROKER_VERSION);
}

}  // namespace

std::variant<Options, int> parse_options(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  Options options;
  std::string group;
  CLI::App app("The broker of tensorbroker: gives processes the same tensor in the same memory.", "tensorbrokerd");
  add_process_options(app, options, group);
  add_limits(app, options);
  add_client_limits(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e, out, err);
  }
  if (!group.empty()) options.group = find_group(group);
  if (options.capacity) options.capacity = round_up_to_page(*options.capacity);
  return options;
}

}  // namespace tensorbroker::broker
