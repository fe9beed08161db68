// Publishing a model: 300 tensors of 64 KiB as one bundle, which replaces the version before it.

#include <benchmark/benchmark.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/segment_name.h"
#include "tests/bench/instance.h"
#include "tests/bench/timing.h"

namespace tensorbroker::bench {
namespace {

constexpr std::string_view kModel = "model";
constexpr int kMembers = 300;
constexpr std::int64_t kElements = 65536 / sizeof(float);

// The members, each over memory of its own.
class Model {
 public:
  Model() : data_(kMembers, std::vector<float>(kElements, 1.0F)) {
    for (int i = 0; i < kMembers; ++i) {
      members_.emplace_back("layer" + std::to_string(i), from_blob(data_[i].data(), {kElements}, kFloat32));
    }
  }
  std::span<const Bundle::Member> members() const { return members_; }

 private:
  std::vector<std::vector<float>> data_;
  std::vector<Bundle::Member> members_;
};

void put_bundle_of_300(benchmark::State& state) {
  const Model model;
  for (int i = 0; i < 3; ++i) client().put_bundle(kModel, model.members());
  report_median(state, 60, 1, [&] { return timed([&] { client().put_bundle(kModel, model.members()); }); });
  client().remove(kModel);
}
BENCHMARK(put_bundle_of_300)->UseManualTime()->Iterations(1);

// Takes each version with all of its views, and says when it had them.
[[noreturn]] void follow(const ConnectOptions& options, std::atomic<std::int64_t>& holds_all) {
  const Client reader = Client::connect(options);
  std::uint64_t version = 0;
  std::optional<Bundle> held;
  for (;;) {
    std::optional<Bundle> next = reader.wait_bundle(kModel, version);
    for (const auto& [member, tensor] : *next) benchmark::DoNotOptimize(tensor.const_data());
    holds_all.store(now_ns());
    version = next->version();
    held = std::move(next);
  }
}

// From the return of put_bundle() to when a reader in another process holds every view; 0 where it was so before.
void bundle_to_reader(benchmark::State& state) {
  const Model model;
  const Shared<std::atomic<std::int64_t>> holds_all;
  client().put_bundle(kModel, model.members());
  const Child reader([&] { follow(instance_options(), *holds_all.operator->()); });
  const auto holds = [&] { return holds_all->load() != 0; };
  std::vector<std::int64_t> whole;
  report_median(state, 200, 1, [&] {
    wait_until(holds);
    holds_all->store(0);
    usleep(500);  // the reader sleeps by now
    const std::int64_t begin = now_ns();
    client().put_bundle(kModel, model.members());
    const std::int64_t returned = now_ns();
    wait_until(holds);
    whole.push_back(holds_all->load() - begin);
    return std::max<std::int64_t>(holds_all->load() - returned, 0);
  });
  if (!whole.empty()) state.counters["from_start"] = quantile(whole, 0.5);
  client().remove(kModel);
}
BENCHMARK(bundle_to_reader)->UseManualTime()->Iterations(1);

// The bytes of memory that an instance's segments of tensor data have, beside those that are nobody's: prepared ahead,
// or given back.
std::uint64_t arena_bytes(Client& client) {
  const std::string prefix = InstanceName{geteuid(), client.instance()}.prefix() + "arena.";
  std::uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(kShmDirectory)) {
    struct stat status{};
    if (!file.path().filename().string().starts_with(prefix) || stat(file.path().c_str(), &status) != 0) continue;
    bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  return bytes - std::min(bytes, client.stats().counters.at("warm_bytes"));
}

// What memory a thousand versions of a model take over the bytes of three, while a reader takes each version before the
// next one comes. In an instance of its own, whose pages were not there before.
void versions_of_a_bundle(benchmark::State& state) {
  const Model model;
  for (auto _ : state) {
    Instance instance("versions", 2ULL << 30);
    const Shared<std::atomic<std::int64_t>> holds_all;
    const Child reader([&] { follow(instance.options(), *holds_all.operator->()); });
    const std::uint64_t before = arena_bytes(instance.client());
    for (int version = 1; version <= 1000; ++version) {
      holds_all->store(0);
      instance.client().put_bundle(kModel, model.members());
      wait_until([&] { return holds_all->load() != 0; });
    }
    const std::uint64_t taken = arena_bytes(instance.client()) - before;
    state.counters["bytes"] = static_cast<double>(taken);
    state.counters["over_three"] = static_cast<double>(taken) / (3.0 * kMembers * kElements * sizeof(float));
  }
}
BENCHMARK(versions_of_a_bundle)->Iterations(1)->Repetitions(1);

}  // namespace
}  // namespace tensorbroker::bench
