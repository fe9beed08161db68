// Publishing: a put that replaces the version before it, in memory that is recycled warm; and the first one of a
// client, in memory that nobody had before.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/instance.h"

namespace tensorbroker::bench {
namespace {

struct Free {
  void operator()(float* p) const { std::free(p); }
};

using Floats = std::unique_ptr<float, Free>;

Floats touched(std::size_t bytes) {
  Floats data(static_cast<float*>(std::aligned_alloc(4096, bytes)));
  std::memset(data.get(), 1, bytes);
  return data;
}

Tensor tensor_of(const Floats& data, std::size_t bytes) {
  return from_blob(data.get(), {static_cast<std::int64_t>(bytes / sizeof(float))}, kFloat32);
}

void put_replacing(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const Floats data = touched(bytes);
  const Tensor source = tensor_of(data, bytes);
  const std::string name = "put/" + std::to_string(bytes);
  for (int i = 0; i < 3; ++i) client().put(name, source);
  for (auto _ : state) client().put(name, source);
  client().remove(name);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(put_replacing)->Arg(4096)->Arg(65536)->Arg(256 << 20)->UseRealTime();

// Puts of 4 KiB that wait for nothing between them, replacing names in turn.
void put_many(benchmark::State& state) {
  constexpr std::size_t kBytes = 4096;
  constexpr int kCount = 1000;
  const Floats data = touched(kBytes);
  std::vector<Bundle::Member> tensors;
  for (int i = 0; i < kCount; ++i) tensors.emplace_back("many/" + std::to_string(i), tensor_of(data, kBytes));
  for (int i = 0; i < 3; ++i) client().put_many(tensors);
  for (auto _ : state) client().put_many(tensors);
  for (const auto& [name, tensor] : tensors) client().remove(name);
  state.counters["rate"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kCount, benchmark::Counter::kIsRate);
}
BENCHMARK(put_many)->UseRealTime();

// The same one by one, none of them waited for.
void put_nowait(benchmark::State& state) {
  constexpr std::size_t kBytes = 4096;
  constexpr int kCount = 1000;
  const Floats data = touched(kBytes);
  const Tensor source = tensor_of(data, kBytes);
  std::vector<std::string> names;
  for (int i = 0; i < kCount; ++i) names.push_back("nowait/" + std::to_string(i));
  const auto put_all = [&] {
    for (const std::string& name : names) client().put_nowait(name, source);
    client().flush();
  };
  for (int i = 0; i < 3; ++i) put_all();
  for (auto _ : state) put_all();
  for (const std::string& name : names) client().remove(name);
  state.counters["rate"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * kCount, benchmark::Counter::kIsRate);
}
BENCHMARK(put_nowait)->UseRealTime();

// A draft of 1 GiB in recycled memory: what a writer in place pays before its first store.
void create_1gib_warm(benchmark::State& state) {
  constexpr std::int64_t kElements = (1LL << 30) / 4;
  client().create("create", {kElements}, kFloat32).discard();
  for (auto _ : state) client().create("create", {kElements}, kFloat32).discard();
}
BENCHMARK(create_1gib_warm)->UseRealTime();

double seconds_of(const std::function<void()>& call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void wait_until(const std::function<bool()>& holds) {
  for (int i = 0; i < 3000; ++i) {
    if (holds()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error("what the benchmark waits for does not come");
}

// Of shared memory that this process has in its page tables.
std::uint64_t mapped_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t kib = 0;
    if (word == "RssShmem:" && status >> kib) return kib << 10;
  }
  return 0;
}

// The first put of a client: in an instance of its own each time, with what `prepare` did before. Beside it memcpy of
// the same bytes between warm pages: memcpy_ratio is how many times as long that takes.
void put_first(benchmark::State& state, const std::function<void(Client&, std::uint64_t)>& prepare) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  const Floats data = touched(bytes);
  const Floats target = touched(bytes);
  const Tensor source = tensor_of(data, bytes);
  double copying = 0;
  double putting = 0;
  for (auto _ : state) {
    Instance fresh("first", 4ULL << 30);
    prepare(fresh.client(), bytes);
    copying += seconds_of([&] { std::memcpy(target.get(), data.get(), bytes); });
    const double taken = seconds_of([&] { fresh.client().put("first", source); });
    putting += taken;
    state.SetIterationTime(taken);
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
  state.counters["memcpy_ratio"] = copying / putting;
}

void at_once(Client& /*client*/, std::uint64_t /*bytes*/) {}

void prepared(Client& client, std::uint64_t bytes) {
  wait_until([&] { return client.stats().counters.at("warm_bytes") >= bytes; });
}

void reserved(Client& client, std::uint64_t bytes) {
  const std::uint64_t before = mapped_bytes();
  client.reserve(bytes);
  wait_until([&] { return mapped_bytes() >= before + bytes; });
}

BENCHMARK_CAPTURE(put_first, at_once, at_once)->Arg(256 << 20)->Iterations(3)->UseManualTime();
BENCHMARK_CAPTURE(put_first, prepared, prepared)->Arg(256 << 20)->Iterations(3)->UseManualTime();
BENCHMARK_CAPTURE(put_first, reserved, reserved)->Arg(256 << 20)->Iterations(3)->UseManualTime();

}  // namespace
}  // namespace tensorbroker::bench
