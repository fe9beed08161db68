// What a client pays for a get, and for a put and delete, while another process of the same user misbehaves, over what
// it pays alone: medians and 99th percentiles of samples that alternate within one run. What a process costs that only
// uses a processor is measured too.

#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "client/calls.h"
#include "client/session_lock.h"
#include "client/socket.h"
#include "proto/runtime_dir.h"
#include "tests/bench/instance.h"

namespace tensorbroker::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kSampled = std::chrono::milliseconds(150);  // at a time
constexpr int kRounds = 3;
constexpr int kConnections = 10'000;
constexpr int kTrickling = 64;
constexpr std::uint32_t kItems = 64;

Limit patience() { return Limit::in(std::chrono::seconds(10)); }

// ---------------------------------------------------------------- the hostile ones, each without end

class Hostile {
 public:
  explicit Hostile(const ConnectOptions& options)
      : name_{geteuid(), options.instance}, path_(socket_path(options.runtime_dir, options.instance)) {}

  void spins() const {
    for (volatile std::uint64_t i = 0;; i = i + 1) {
    }
  }
  // As many requests as it gets answered, of as many items as there may be.
  void floods_requests() const {
    attach();
    flatbuffers::FlatBufferBuilder builder;
    std::vector<flatbuffers::Offset<schema::RequestItem>> items;
    for (std::uint32_t i = 0; i < kItems; ++i) {
      const auto body = schema::CreateHolders(builder, 0, 0).Union();
      items.push_back(schema::CreateRequestItem(builder, schema::Request::Holders, body));
    }
    builder.Finish(schema::CreateRequestMessage(builder, 100, builder.CreateVector(items)));
    const std::span request(reinterpret_cast<const std::byte*>(builder.GetBufferPointer()), builder.GetSize());
    for (;;) {
      write_frame(*socket_, request, patience());
      read_frame(*socket_, patience());
    }
  }
  // Those that the broker has room for stay open until all were tried.
  void floods_connections() const {
    for (;;) {
      std::vector<std::shared_ptr<Socket>> open;
      for (int i = 0; i < kConnections; ++i) {
        if (auto socket = Socket::connect(path_)) open.push_back(std::move(socket));
        if (open.size() > 500) open.erase(open.begin() + 200, open.end());
      }
    }
  }
  void sends_garbage() const {
    std::mt19937 random(1);
    for (;;) {
      const auto socket = Socket::connect(path_);
      if (!socket) continue;
      std::vector<std::uint32_t> garbage(2000);
      for (std::uint32_t& word : garbage) word = static_cast<std::uint32_t>(random());
      garbage[0] %= 4096;
      static_cast<void>(send(socket->fd(), garbage.data(), garbage.size() * sizeof garbage[0], MSG_NOSIGNAL));
    }
  }
  void trickles() const {
    std::vector<std::shared_ptr<Socket>> sockets(kTrickling);
    const std::uint32_t length = 1 << 20;
    for (;;) {
      for (auto& socket : sockets) {
        if (socket && send(socket->fd(), "x", 1, MSG_NOSIGNAL) == 1) continue;
        socket = Socket::connect(path_);
        if (socket) static_cast<void>(send(socket->fd(), &length, sizeof length, MSG_NOSIGNAL));
      }
    }
  }
  void rewrites_its_session() const {
    attach();
    std::mt19937_64 random(1);
    SessionControl& control = session_->control();
    for (;;) {
      for (Word* word : {&control.lease_high_water, &control.ring, &control.waiters, &control.returns_tail,
                         &control.leases_committed, &control.returns_head}) {
        word->store(random());
      }
      session_->lease(static_cast<std::uint32_t>(random() % kInitialLeases)).store(random());
    }
  }

 private:
  void attach() const {
    socket_ = Socket::connect(path_);
    write_frame(*socket_, build_hello(1, {}), patience());
    const ReplyFrame welcome{*read_frame(*socket_, patience()), 0};
    session_ = map_and_lock_session(name_, body_of<schema::Welcome>(welcome.item()).session(), false, {});
    write_frame(*socket_, build_locked(2), patience());
    read_frame(*socket_, patience());
  }

  InstanceName name_;
  std::string path_;
  mutable std::shared_ptr<Socket> socket_;
  mutable std::unique_ptr<SessionSegment> session_;
};

class HostileProcess {
 public:
  HostileProcess(const ConnectOptions& options, void (Hostile::*behave)() const) : child_(fork()) {
    if (child_ != 0) return;
    (Hostile(options).*behave)();
    _exit(0);
  }
  ~HostileProcess() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
  }
  bool is_at_it() const { return waitpid(child_, nullptr, WNOHANG) == 0; }

  HostileProcess(const HostileProcess&) = delete;
  HostileProcess& operator=(const HostileProcess&) = delete;

 private:
  pid_t child_;
};

// ---------------------------------------------------------------- the one beside it

using Samples = std::vector<std::int64_t>;

void sample(Samples& to, const std::function<void()>& call) {
  const auto end = Clock::now() + kSampled;
  for (auto begin = Clock::now(); begin < end;) {
    call();
    const auto now = Clock::now();
    to.push_back((now - begin).count());
    begin = now;
  }
}

double quantile(Samples& samples, double part) {
  const auto at = samples.begin() + static_cast<std::ptrdiff_t>(static_cast<double>(samples.size() - 1) * part);
  std::nth_element(samples.begin(), at, samples.end());
  return static_cast<double>(*at);
}

void beside(benchmark::State& state, void (Hostile::*behave)() const) {
  static Instance instance("hostile", 256 << 20);
  Client& client = instance.client();
  static const std::vector<float> data(1024, 1.0F);
  const Tensor tensor = from_blob(static_cast<const void*>(data.data()), {1024}, kFloat32);
  client.put("kept", tensor);
  const auto get = [&] { benchmark::DoNotOptimize(client.get("kept").const_data()); };
  const auto put = [&] {
    client.put("passing", tensor);
    client.remove("passing");
  };
  for (auto _ : state) {
    Samples alone[2];
    Samples beside[2];
    for (int round = 0; round < kRounds; ++round) {
      sample(alone[0], get);
      sample(alone[1], put);
      const HostileProcess hostile(instance.options(), behave);
      usleep(50'000);
      sample(beside[0], get);
      sample(beside[1], put);
      if (!hostile.is_at_it()) return state.SkipWithError("the hostile process has ended");
    }
    const char* const names[] = {"get", "put"};
    for (int i = 0; i < 2; ++i) {
      state.counters[std::string(names[i]) + "_median_ratio"] = quantile(beside[i], 0.5) / quantile(alone[i], 0.5);
      state.counters[std::string(names[i]) + "_p99_ratio"] = quantile(beside[i], 0.99) / quantile(alone[i], 0.99);
    }
  }
}
BENCHMARK_CAPTURE(beside, spinning, &Hostile::spins)->Iterations(1);
BENCHMARK_CAPTURE(beside, requests, &Hostile::floods_requests)->Iterations(1);
BENCHMARK_CAPTURE(beside, connections, &Hostile::floods_connections)->Iterations(1);
BENCHMARK_CAPTURE(beside, garbage, &Hostile::sends_garbage)->Iterations(1);
BENCHMARK_CAPTURE(beside, trickle, &Hostile::trickles)->Iterations(1);
BENCHMARK_CAPTURE(beside, rewriting, &Hostile::rewrites_its_session)->Iterations(1);

}  // namespace
}  // namespace tensorbroker::bench
