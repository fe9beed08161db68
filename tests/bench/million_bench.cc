// A million tensors: putting them, what the broker has in memory then, finding one among them, and listing some.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "proto/header.h"
#include "proto/heap_record.h"
#include "proto/segment_name.h"
#include "tests/bench/filled.h"
#include "tests/bench/timing.h"

namespace tensorbroker::bench {
namespace {

constexpr std::int64_t kMillion = 1'000'000;
constexpr int kBatch = 64;
constexpr std::uint32_t kSeed = 20'240'601;
constexpr std::int64_t kLate = 5'000'000;  // nanoseconds

// ---------------------------------------------------------------- other processes meanwhile

struct Delays {
  std::atomic<std::int64_t> count{0}, late{0}, longest{0};

  void add(std::int64_t taken) {
    count.fetch_add(1);
    if (taken > kLate) late.fetch_add(1);
    if (taken > longest.load()) longest.store(taken);
  }
};

// Puts, reads and deletes a few hundred times a second; says how long the calls took.
void use(const ConnectOptions& options, Delays& delays) {
  Client other = Client::connect(options);
  const std::vector<float> data(1024, 1.0F);
  const Tensor tensor = from_blob(static_cast<const void*>(data.data()), {1024}, kFloat32);
  other.put("other", tensor);
  for (;;) {
    usleep(2000);
    delays.add(timed([&] { other.put("other", tensor); }));
    delays.add(timed([&] { benchmark::DoNotOptimize(other.get("other").const_data()); }));
    delays.add(timed([&] { other.remove("other"); }));
  }
}

// The longest time that the machine takes a processor from one of three processes that do nothing but compute.
std::int64_t longest_gap() {
  const auto compute = [] {
    for (std::uint64_t i = 0;; ++i) benchmark::DoNotOptimize(i);
  };
  const Child first(compute);
  const Child second(compute);
  const std::int64_t end = now_ns() + 5'000'000'000;
  std::int64_t longest = 0;
  for (std::int64_t last = now_ns(), now = last; last < end; last = now) {
    now = now_ns();
    longest = std::max(longest, now - last);
  }
  return longest;
}

// ---------------------------------------------------------------- what the broker has in memory

// The bytes that a process has in memory, less those of tensor data.
double bytes_beside_the_arena(std::int64_t pid) {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/smaps");
  double bytes = 0;
  bool is_arena = false;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);
    std::string first;
    std::uint64_t kib = 0;
    fields >> first;
    if (first.find('-') != std::string::npos) is_arena = line.find(".arena.") != std::string::npos;
    if (first == "Rss:" && !is_arena && fields >> kib) bytes += static_cast<double>(kib) * 1024;
  }
  return bytes;
}

double header_bytes() {
  const TensorSpec spec{{}, kInt64, {1}, {1}, 0};
  return static_cast<double>(heap_record_bytes(filled_name(0).size(), encode_header({&spec, 1}, {}).size()));
}

void put_a_million(benchmark::State& state) {
  for (auto _ : state) {
    state.counters["longest_gap"] = static_cast<double>(longest_gap());
    const Shared<Delays> delays;
    std::optional<Child> other;
    Filled& filled = filled_with(kMillion, [&](const ConnectOptions& options) {
      other.emplace([&] { use(options, *delays.operator->()); });
      wait_until([&] { return delays->count.load() > 0; });
    });
    if (!other) return state.SkipWithError("they are there already: run this one first");
    other.reset();
    state.counters["other_longest"] = static_cast<double>(delays->longest.load());
    state.counters["other_late"] = static_cast<double>(delays->late.load());
    state.counters["other_calls"] = static_cast<double>(delays->count.load());
    for (std::size_t i = 0; i < filled.rates().size(); ++i) {
      state.counters["rate__" + std::to_string(i)] = filled.rates()[i];
    }
    state.counters["broker_bytes"] = bytes_beside_the_arena(filled.instance().client().stats().broker_pid);
    state.counters["header_bytes"] = header_bytes();
  }
}
BENCHMARK(put_a_million)->Iterations(1)->Repetitions(1);

// ---------------------------------------------------------------- finding one

// Names in random order, one after another in memory: the reading of a name is no part of what is measured.
const std::vector<std::string>& names_in_random_order() {
  static const std::vector<std::string> names = [] {
    std::mt19937 random(kSeed);
    std::vector<std::string> drawn;
    for (std::int64_t i = 0; i < kMillion; ++i) drawn.push_back(filled_name(random() % kMillion));
    return drawn;
  }();
  return names;
}

void get_in_random_order(benchmark::State& state) {
  const std::vector<std::string>& names = names_in_random_order();
  const Client& reader = filled_with(kMillion).instance().client();
  std::size_t next = 0;
  const auto get = [&] {
    for (int i = 0; i < kBatch; ++i) benchmark::DoNotOptimize(reader.get(names[next++ % names.size()]).const_data());
  };
  while (next < names.size()) get();  // every page is mapped by now
  report_median(state, 8000, kBatch, [&] { return timed(get); });
}

void get_among_a_million(benchmark::State& state) { get_in_random_order(state); }
BENCHMARK(get_among_a_million)->UseManualTime()->Iterations(1);

void get_among_a_million_while_names_are_replaced(benchmark::State& state) {
  const ConnectOptions& options = filled_with(kMillion).instance().options();
  const Shared<std::atomic<std::int64_t>> replaced;
  const Child writer([&] {
    Client client = Client::connect(options);
    std::mt19937 random(kSeed + 1);
    std::int64_t value = 0;
    const Tensor data = from_blob(&value, {1}, kInt64);
    for (;; replaced->fetch_add(1)) client.put(filled_name(random() % kMillion), data);
  });
  wait_until([&] { return replaced->load() > 100; });
  const std::int64_t before = replaced->load();
  const std::int64_t taken = timed([&] { get_in_random_order(state); });
  const auto written = static_cast<double>(replaced->load() - before);
  state.counters["replaced_per_s"] = written / (static_cast<double>(taken) * 1e-9);
}
BENCHMARK(get_among_a_million_while_names_are_replaced)->UseManualTime()->Iterations(1);

// The pages of the catalog that there are, mapped as a client maps them.
class Catalog {
 public:
  explicit Catalog(const std::string& instance) {
    const std::string prefix = InstanceName{geteuid(), instance}.prefix() + "catalog.";
    for (const auto& file : std::filesystem::directory_iterator(kShmDirectory)) {
      if (file.path().filename().string().starts_with(prefix)) map(file.path());
    }
    if (words_.empty()) throw std::runtime_error("no catalog was found");
  }
  ~Catalog() { munmap(base_, bytes_); }
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  const char* base() const { return static_cast<const char*>(base_); }
  // Offsets of as many words, drawn from all pages that hold data.
  const std::vector<std::uint64_t>& words() const { return words_; }

 private:
  void map(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    bytes_ = static_cast<std::size_t>(lseek(fd, 0, SEEK_END));
    base_ = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, fd, 0);
    std::vector<std::uint64_t> lines;
    for (off_t begin = 0, end = 0; (begin = lseek(fd, end, SEEK_DATA)) >= 0;) {
      end = lseek(fd, begin, SEEK_HOLE);
      for (off_t line = begin; line < end; line += 64) lines.push_back(static_cast<std::uint64_t>(line));
    }
    close(fd);
    std::mt19937 random(kSeed);
    for (int i = 0; i < 3 * kMillion; ++i) words_.push_back(lines[random() % lines.size()] + random() % 8 * 8);
  }

  void* base_ = MAP_FAILED;
  std::size_t bytes_ = 0;
  std::vector<std::uint64_t> words_;
};

// Three loads, each of an address that the one before it had a part in, from random words of the same catalog: what a
// lookup (index cell, entry, header) cannot do without.
void three_dependent_loads(benchmark::State& state) {
  static const Catalog catalog(filled_with(kMillion).instance().client().instance());
  volatile std::uint64_t hidden = 0;
  const std::uint64_t none = hidden;  // the compiler does not know that what was loaded has no effect
  std::uint64_t loaded = 0;
  std::size_t next = 0;
  const auto load = [&] {
    for (int i = 0; i < 3 * kBatch; ++i) {
      const std::uint64_t at = catalog.words()[next++ % catalog.words().size()] + (loaded & none);
      loaded = *reinterpret_cast<const volatile std::uint64_t*>(catalog.base() + at);
    }
  };
  while (next < catalog.words().size()) load();
  report_median(state, 8000, kBatch, [&] { return timed(load); });
  benchmark::DoNotOptimize(loaded);
}
BENCHMARK(three_dependent_loads)->UseManualTime()->Iterations(1);

void list_10000_of_a_million(benchmark::State& state) {
  const Client& client = filled_with(kMillion).instance().client();
  report_median(state, 3, 1, [&] {
    std::size_t found = 0;
    const std::int64_t taken = timed([&] { found = client.list("many/042").size(); });
    if (found != 10'000) throw std::runtime_error("listed " + std::to_string(found));
    return taken;
  });
}
BENCHMARK(list_10000_of_a_million)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace tensorbroker::bench
