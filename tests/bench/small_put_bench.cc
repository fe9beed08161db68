// Publishing small tensors: in a burst, and now and then, when the broker sleeps.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "tests/bench/instance.h"
#include "tests/bench/timing.h"

namespace tensorbroker::bench {
namespace {

Tensor small_tensor() {
  static std::vector<float> data(1024, 1.0F);
  return from_blob(data.data(), {1024}, kFloat32);
}

// A put of 4 KiB and its deletion, one pair after another.
void put_and_delete(benchmark::State& state) {
  const Tensor source = small_tensor();
  const auto call = [&] {
    client().put("passing", source);
    client().remove("passing");
  };
  for (int i = 0; i < 100; ++i) call();
  report_median(state, 5000, 1, [&] { return timed(call); });
}
BENCHMARK(put_and_delete)->UseManualTime()->Iterations(1);

constexpr int kNap = 2000;  // microseconds, after which the broker and its processor have gone to sleep

void put_asleep(benchmark::State& state) {
  const Tensor source = small_tensor();
  report_median(state, 400, 1, [&] {
    usleep(kNap);
    const std::int64_t taken = timed([&] { client().put("rare", source); });
    client().remove("rare");
    return taken;
  });
}
BENCHMARK(put_asleep)->UseManualTime()->Iterations(1);

void delete_asleep(benchmark::State& state) {
  const Tensor source = small_tensor();
  report_median(state, 400, 1, [&] {
    client().put("rare", source);
    usleep(kNap);
    return timed([&] { client().remove("rare"); });
  });
}
BENCHMARK(delete_asleep)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace tensorbroker::bench
