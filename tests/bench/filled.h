// Instances with many tensors, each filled at its first use, for all benchmarks of a process.

#ifndef TENSORBROKER_TESTS_BENCH_FILLED_H_
#define TENSORBROKER_TESTS_BENCH_FILLED_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "tests/bench/instance.h"

namespace tensorbroker::bench {

// The name of one of the tensors: "many/0000042". So a prefix of two digits less names a hundred of them.
std::string filled_name(std::int64_t i);

class Filled {
 public:
  explicit Filled(std::int64_t names);
  Instance& instance() { return instance_; }
  // How many tensors a second were put while each tenth of them was.
  const std::array<double, 10>& rates() const { return rates_; }

 private:
  friend Filled& filled_with(std::int64_t, const std::function<void(const ConnectOptions&)>&);
  void fill(std::int64_t names);
  void put(std::int64_t begin, std::int64_t end);

  Instance instance_;
  std::array<double, 10> rates_{};
};

// The instance with so many tensors of 8 bytes. `before` is called when the instance runs, and before it is filled.
Filled& filled_with(std::int64_t names, const std::function<void(const ConnectOptions&)>& before = {});

}  // namespace tensorbroker::bench

#endif  // TENSORBROKER_TESTS_BENCH_FILLED_H_
