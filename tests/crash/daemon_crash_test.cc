// The whole of it: a broker that is killed after every store that a client's call has it make, while that client waits
// for its answer and another thread goes on reading. The client starts the successor, as clients do, and asks again.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tensorbroker/tensorbroker.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "broker/daemon.h"
#include "broker/log.h"
#include "tensorbroker/sigbus.h"
#include "tests/crash/every_store.h"
#include "tests/support/broker_process.h"

namespace tensorbroker {
namespace {

constexpr std::int64_t kElements = 64;

// A broker in a process of its own, whose stores are trapped. To be started while this process has no client.
class TrappedBroker {
 public:
  TrappedBroker(const test::TemporaryInstance& at, crash::Tally& tally) {
    int ready[2];
    if (pipe(ready) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) serve(at, tally, ready[1]);
    close(ready[1]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1) << at.log();
    close(ready[0]);
  }
  ~TrappedBroker() { end(); }
  TrappedBroker(const TrappedBroker&) = delete;
  TrappedBroker& operator=(const TrappedBroker&) = delete;

  // Whether it was killed by its trap, and not only now.
  bool end() {
    if (pid_ <= 0) return was_killed_;
    was_killed_ = waitpid(pid_, nullptr, WNOHANG) == pid_;
    if (!was_killed_) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    pid_ = -1;
    return was_killed_;
  }

 private:
  [[noreturn]] static void serve(const test::TemporaryInstance& at, crash::Tally& tally, int ready) {
    try {
      std::signal(SIGPIPE, SIG_IGN);
      install_sigbus_handler();
      broker::Options options;
      options.instance = at.name().instance;
      options.runtime_dir = at.runtime_dir();
      options.capacity = 64 << 20;
      const broker::Place place = broker::prepare_place(options);
      InstanceLock lock = broker::take_lock(place);
      broker::open_log(place.log, "info", false);
      broker::Daemon daemon(options, place, std::move(lock));
      crash::trap_stores(at.name().prefix(), tally);
      [[maybe_unused]] const auto written = write(ready, "\n", 1);
      daemon.run();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "the trapped broker: %s\n", e.what());
    }
    _exit(0);
  }

  pid_t pid_ = -1;
  bool was_killed_ = false;
};

// All its elements have the same value, or the test fails.
float value_of(const Tensor& tensor) {
  const float* const p = tensor.const_data_ptr<float>();
  const bool whole = std::all_of(p, p + tensor.numel(), [p](float x) { return x == *p; });
  EXPECT_TRUE(whole) << "torn: " << tensor.name();
  return *p;
}

// Gets a name again and again while it lives: every version whole, none older than the one before.
class Watcher {
 public:
  Watcher(const Client& client, std::string name) : client_(client), name_(std::move(name)) {
    thread_ = std::thread([this] { watch(); });
  }
  ~Watcher() {
    done_.store(true);
    thread_.join();
  }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

 private:
  void watch() {
    std::uint64_t newest = 0;
    do {
      if (const auto found = client_.find(name_)) {
        EXPECT_GE(found->version(), newest);
        newest = found->version();
        value_of(*found);
      }
    } while (!done_.load());
  }

  const Client& client_;
  std::string name_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

class DaemonCrash : public testing::Test {
 protected:
  void SetUp() override {
    if (!crash::kHaveStoreTrap) GTEST_SKIP() << "this processor has no trap flag to step over a single store";
  }

  static Tensor filled(float value) {
    auto* data = new std::vector<float>(kElements, value);
    const std::int64_t size = kElements;
    return from_blob(data->data(), {&size, 1}, kFloat32, [data](void*) { delete data; });
  }

  struct Call {
    std::function<void(Client&)> prepare;
    std::function<void(Client&)> call;   // during which the broker is killed
    std::function<void(Client&)> check;  // what must hold once it has returned
  };

  // One call with a broker of its own that is killed after store number `limit`. Says whether it was.
  bool run(const Call& c, std::uint64_t limit) {
    const test::TemporaryInstance at;
    TrappedBroker trapped(at, tally_);
    ConnectOptions options = at.connect_options();
    options.autostart = true;
    Client client = Client::connect(options);
    client.put("watched", filled(7));
    Tensor held = client.put("held", filled(8));
    client.remove("held");
    c.prepare(client);
    {
      const Watcher watcher(client, "watched");
      tally_.start(limit);
      c.call(client);
      if (limit == 0) usleep(20'000);  // what the broker does after its answer counts too
      tally_.stop();
      c.check(client);
    }
    EXPECT_EQ(value_of(held), 8);
    EXPECT_EQ(value_of(client.get("watched")), 7);
    held = Tensor();
    EXPECT_TRUE(test::eventually([&] { return client.stats().retired == 0; })) << client.stats().retired;
    return trapped.end();
  }

  void kill_everywhere(const Call& c) {
    crash::kill_after_each_store(tally_, "brokers", 70, [&](std::uint64_t limit) { return run(c, limit); });
  }

  crash::Tally tally_;
};

TEST_F(DaemonCrash, Put) {
  kill_everywhere({.prepare = [](Client&) {},
                   .call = [](Client& client) { client.put("a", filled(1)); },
                   .check = [](Client& client) { EXPECT_EQ(value_of(client.get("a")), 1); }});
}

TEST_F(DaemonCrash, Replace) {
  kill_everywhere({.prepare = [](Client& client) { client.put("a", filled(1)); },
                   .call = [](Client& client) { client.put("a", filled(2)); },
                   .check =
                       [](Client& client) {
                         EXPECT_EQ(value_of(client.get("a")), 2);
                         EXPECT_EQ(client.list("").size(), 2u);
                       }});
}

TEST_F(DaemonCrash, Delete) {
  kill_everywhere({.prepare = [](Client& client) { client.put("a", filled(1)); },
                   .call = [](Client& client) { client.remove("a"); },
                   .check =
                       [](Client& client) {
                         EXPECT_FALSE(client.exists("a"));
                         client.put("a", filled(3));  // where its block was, perhaps
                         EXPECT_EQ(value_of(client.get("a")), 3);
                       }});
}

TEST_F(DaemonCrash, PutThatNeedsAnExtent) {
  kill_everywhere({.prepare = [](Client&) {},
                   .call = [](Client& client) { client.zeros({4 << 20}, kUInt8, "large"); },
                   .check = [](Client& client) { EXPECT_EQ(client.get("large").nbytes(), std::uint64_t{4 << 20}); }});
}

}  // namespace
}  // namespace tensorbroker
