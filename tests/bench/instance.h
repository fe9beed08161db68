// The broker that the benchmarks run against: an instance of this process's own, in a directory of its own, started at
// first use and ended with the process.

#ifndef TENSORBROKER_TESTS_BENCH_INSTANCE_H_
#define TENSORBROKER_TESTS_BENCH_INSTANCE_H_

#include <tensorbroker/tensorbroker.h>

namespace tensorbroker::bench {

// The options that lead to the broker, for another process's connection; the broker runs from the first call on.
const ConnectOptions& instance_options();

// This process's connection.
Client& client();

}  // namespace tensorbroker::bench

#endif  // TENSORBROKER_TESTS_BENCH_INSTANCE_H_
