// tensorbrokerd: wiring only.

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <tensorbroker/sigbus.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <variant>

#include "broker/daemon.h"
#include "broker/detach.h"
#include "broker/log.h"
#include "broker/options.h"
#include "broker/readiness.h"
#include "broker/startup.h"

namespace tensorbroker::broker {
namespace {

// Each client takes three descriptors; what the user may have, this process takes.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void serve(const Options& options, const Place& place, Readiness& readiness) {
  InstanceLock lock = take_lock(place);
  open_log(place.log, options.log_level, !options.detach);
  if (options.detach) redirect_output(place.log.c_str());
  Daemon daemon(options, place, std::move(lock));
  readiness.ready();
  daemon.run();
}

int run(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv, std::cout, std::cerr);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  const auto& options = std::get<Options>(parsed);
  Detached detached{-1, options.ready_fd};
  try {
    const Place place = prepare_place(options);
    if (options.detach) detached = detach(options.ready_fd);
    std::signal(SIGPIPE, SIG_IGN);
    umask(0077);
    raise_descriptor_limit();
    install_sigbus_handler();
    Readiness readiness(detached.parent_fd, detached.ready_fd);
    try {
      serve(options, place, readiness);
    } catch (const std::exception& e) {
      if (options.detach) spdlog::critical("{}", e.what());
      readiness.failed(e.what());
      return 1;
    }
  } catch (const std::exception& e) {
    std::cerr << "tensorbrokerd: " << e.what() << '\n';
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tensorbroker::broker

int main(int argc, char** argv) {
  const int status = tensorbroker::broker::run(argc, argv);
  tensorbroker::broker::close_log();
  return status;
}
