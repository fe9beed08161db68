#include "tests/bench/instance.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "tests/bench/placement.h"

namespace tensorbroker::bench {

Instance::Instance(const std::string& name, std::uint64_t capacity) : owner_(getpid()) {
  std::string pattern = std::filesystem::temp_directory_path() / "tensorbroker-bench-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) throw Error(ErrorCode::kRuntime, "cannot make a directory " + pattern);
  options_.instance = name + "-" + std::to_string(getpid());
  options_.runtime_dir = pattern;
  options_.autostart = true;
  options_.capacity = capacity;
  client_ = Client::connect(options_);
  sit_apart(static_cast<pid_t>(client_->stats().broker_pid));
}

Instance::~Instance() {
  if (getpid() != owner_) return;
  try {
    client_->stop_broker();
    client_->close();
  } catch (const Error&) {
    // The benchmarks are done; a broker that is gone already needs no stop.
  }
  std::filesystem::remove_all(options_.runtime_dir);
}

namespace {

Instance& instance() {
  static Instance the_instance("bench", 6ULL << 30);
  return the_instance;
}

}  // namespace

const ConnectOptions& instance_options() { return instance().options(); }

Client& client() { return instance().client(); }

}  // namespace tensorbroker::bench
