#include "tests/bench/instance.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tensorbroker::bench {
namespace {

constexpr std::uint64_t kCapacity = 6ULL << 30;

// Starts the broker by connecting, and ends it when the process ends.
class Instance {
 public:
  Instance() {
    std::string pattern = std::filesystem::temp_directory_path() / "tensorbroker-bench-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) throw Error(ErrorCode::kRuntime, "cannot make a directory " + pattern);
    options_.instance = "bench-" + std::to_string(getpid());
    options_.runtime_dir = pattern;
    options_.autostart = true;
    options_.capacity = kCapacity;
    owner_ = getpid();
    client_ = Client::connect(options_);
  }
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance() {
    if (getpid() != owner_) return;
    try {
      client_->stop_broker();
      client_->close();
    } catch (const Error&) {
      // The benchmarks are done; a broker that is gone already needs no stop.
    }
    std::filesystem::remove_all(options_.runtime_dir);
  }

  const ConnectOptions& options() const { return options_; }
  Client& client() { return *client_; }

 private:
  ConnectOptions options_;
  std::optional<Client> client_;
  pid_t owner_ = 0;
};

Instance& instance() {
  static Instance the_instance;
  return the_instance;
}

}  // namespace

const ConnectOptions& instance_options() { return instance().options(); }

Client& client() { return instance().client(); }

}  // namespace tensorbroker::bench
