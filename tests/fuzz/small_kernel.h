// The Kernel of simulation/ as the fuzz targets have it: the same for each input.

#ifndef TENSORBROKER_TESTS_FUZZ_SMALL_KERNEL_H_
#define TENSORBROKER_TESTS_FUZZ_SMALL_KERNEL_H_

#include "tests/simulation/kernel.h"

namespace tensorbroker::fuzz {

// The real clock (wall_us) is left to the fuzzer, which measures inputs by it.
struct SmallKernel : simulation::Kernel {
  SmallKernel() {
    now_ns = 1'000'000'000'000;
    shm_bytes = 64 << 20;
  }
};

inline constexpr std::uint64_t kYear2026 = 1'767'225'600'000'000;  // in microseconds

}  // namespace tensorbroker::fuzz

#endif  // TENSORBROKER_TESTS_FUZZ_SMALL_KERNEL_H_
