// The brokers that the benchmarks run against: instances of this process's own, each in a directory of its own, started
// at first use and ended with the process.

#ifndef TENSORBROKER_TESTS_BENCH_INSTANCE_H_
#define TENSORBROKER_TESTS_BENCH_INSTANCE_H_

#include <sys/types.h>
#include <tensorbroker/tensorbroker.h>

#include <cstdint>
#include <optional>
#include <string>

namespace tensorbroker::bench {

// Starts a broker by connecting, and ends it when it is destroyed.
class Instance {
 public:
  Instance(const std::string& name, std::uint64_t capacity);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const ConnectOptions& options() const { return options_; }
  Client& client() { return *client_; }

 private:
  ConnectOptions options_;
  std::optional<Client> client_;
  pid_t owner_ = 0;
};

// The options that lead to the broker that most share, for another process's connection; it runs from the first call
// on.
const ConnectOptions& instance_options();

// This process's connection to it.
Client& client();

}  // namespace tensorbroker::bench

#endif  // TENSORBROKER_TESTS_BENCH_INSTANCE_H_
