// Publishing: a put that replaces the version before it, in memory that is recycled warm.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "tests/bench/instance.h"

namespace tensorbroker::bench {
namespace {

struct Free {
  void operator()(float* p) const { std::free(p); }
};

void put_replacing(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const std::unique_ptr<float, Free> data(static_cast<float*>(std::aligned_alloc(4096, bytes)));
  std::memset(data.get(), 1, bytes);
  const Tensor source = from_blob(data.get(), {static_cast<std::int64_t>(bytes / sizeof(float))}, kFloat32);
  const std::string name = "put/" + std::to_string(bytes);
  for (int i = 0; i < 3; ++i) client().put(name, source);
  for (auto _ : state) client().put(name, source);
  client().remove(name);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(put_replacing)->Arg(4096)->Arg(65536)->Arg(256 << 20)->UseRealTime();

// A draft of 1 GiB in recycled memory: what a writer in place pays before its first store.
void create_1gib_warm(benchmark::State& state) {
  constexpr std::int64_t kElements = (1LL << 30) / 4;
  client().create("create", {kElements}, kFloat32).discard();
  for (auto _ : state) client().create("create", {kElements}, kFloat32).discard();
}
BENCHMARK(create_1gib_warm)->UseRealTime();

}  // namespace
}  // namespace tensorbroker::bench
