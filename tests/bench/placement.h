// Who sits on which processor.

#ifndef TENSORBROKER_TESTS_BENCH_PLACEMENT_H_
#define TENSORBROKER_TESTS_BENCH_PLACEMENT_H_

#include <sys/types.h>

namespace tensorbroker::bench {

// Where $TENSORBROKER_BENCH_APART is set, puts this thread on the first processor that it may use and all threads of
// another process on the last one. Elsewhere the kernel places them.
void sit_apart(pid_t other);

}  // namespace tensorbroker::bench

#endif  // TENSORBROKER_TESTS_BENCH_PLACEMENT_H_
