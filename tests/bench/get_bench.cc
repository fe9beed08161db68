// Reading by name: lookup, lease and release of something that nobody in this process holds.

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "tests/bench/instance.h"
#include "tests/bench/timing.h"

namespace tensorbroker::bench {
namespace {

constexpr int kLive = 1000;
constexpr int kBatch = 64;  // gets that are timed together: reading the clock takes as long as a few of them

std::vector<std::string> put_small_tensors() {
  std::vector<float> data(1024, 1.0F);
  std::vector<std::string> names;
  for (int i = 0; i < kLive; ++i) {
    names.push_back("get/" + std::to_string(i));
    client().put(names.back(), from_blob(data.data(), {1024}, kFloat32));
  }
  return names;
}

void get_by_name(benchmark::State& state) {
  static const std::vector<std::string> names = put_small_tensors();
  Client& reader = client();
  std::size_t next = 0;
  report_median(state, 4000, kBatch, [&] {
    return timed([&] {
      for (int i = 0; i < kBatch; ++i) {
        const Tensor tensor = reader.get(names[next]);
        benchmark::DoNotOptimize(tensor.const_data());
        next = (next + 7) % names.size();
      }
    });
  });
}
BENCHMARK(get_by_name)->UseManualTime()->Iterations(1);

std::string put_bundle_of(int members) {
  std::vector<float> data(16384, 1.0F);
  std::vector<Bundle::Member> list;
  for (int i = 0; i < members; ++i) {
    list.emplace_back("layer" + std::to_string(i), from_blob(data.data(), {16384}, kFloat32));
  }
  client().put_bundle("bundle", list);
  return "bundle";
}

void get_bundle_of_300(benchmark::State& state) {
  static const std::string name = put_bundle_of(300);
  Client& reader = client();
  for (auto _ : state) benchmark::DoNotOptimize(reader.get_bundle(name).version());
}
BENCHMARK(get_bundle_of_300);

void get_bundle_of_300_and_every_view(benchmark::State& state) {
  static const std::string name = put_bundle_of(300);
  Client& reader = client();
  for (auto _ : state) {
    const Bundle bundle = reader.get_bundle(name);
    for (const auto& [member, tensor] : bundle) benchmark::DoNotOptimize(tensor.const_data());
  }
}
BENCHMARK(get_bundle_of_300_and_every_view);

}  // namespace
}  // namespace tensorbroker::bench
