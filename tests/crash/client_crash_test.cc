// A client that is killed after every store that it makes to shared memory: nobody else notices, and all that it had is
// freed. The broker is a real one, and lives.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <tensorbroker/tensorbroker.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "proto/limits.h"
#include "tests/crash/every_store.h"
#include "tests/support/broker_process.h"

namespace tensorbroker {
namespace {

constexpr std::int64_t kElements = 64;

Tensor filled(float value) {
  auto* data = new std::vector<float>(kElements, value);
  const std::int64_t size = kElements;
  return from_blob(data->data(), {&size, 1}, kFloat32, [data](void*) { delete data; });
}

float value_of(const Tensor& tensor) {
  const float* const p = tensor.const_data_ptr<float>();
  const bool whole = std::all_of(p, p + tensor.numel(), [p](float x) { return x == *p; });
  EXPECT_TRUE(whole) << "torn: " << tensor.name();
  return *p;
}

// Ends the process by an error that the test sees.
void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "in the trapped client: %s\n", what);
  _exit(3);
}

class ClientCrash : public testing::Test {
 protected:
  void SetUp() override {
    if (!crash::kHaveStoreTrap) GTEST_SKIP() << "this processor has no trap flag to step over a single store";
  }

  using Values = std::map<std::string, float>;
  struct Call {
    std::function<void(Client&)> prepare = [](Client&) {};
    std::function<void(Client&)> call;
    Values before{};  // of the names that the call is about
    Values after{};
  };

  // One client that makes the call and is killed after store number `limit`. Says whether it was.
  bool run(const Call& c, std::uint64_t limit) {
    int ready[2];
    int go[2];
    EXPECT_TRUE(pipe(ready) == 0 && pipe(go) == 0);
    const pid_t child = fork();  // before this process has a client: it is none of its children's parent
    if (child == 0) {
      close(go[1]);
      be_client(c, ready[1], go[0]);
    }
    close(ready[1]);
    close(go[0]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    bool killed = false;
    {
      Client observer = broker_.connect();
      const Tensor held = observer.get("held");
      observer.remove("held");  // retired, and held by both
      tally_.start(limit);
      close(go[1]);
      int status = 0;
      EXPECT_EQ(waitpid(child, &status, 0), child);
      tally_.stop();
      killed = tally_.limit_reached();
      EXPECT_TRUE(WIFSIGNALED(status) ? killed && WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0) << status;
      EXPECT_EQ(value_of(held), 5);
      look(c, observer, killed);
    }
    close(ready[0]);
    return killed;
  }

  void kill_everywhere(const Call& c) {
    crash::kill_after_each_store(tally_, "clients", 90, [&](std::uint64_t limit) { return run(c, limit); });
  }

  test::BrokerProcess broker_{{"--capacity", "64MiB"}};
  crash::Tally tally_;

 private:
  [[noreturn]] void be_client(const Call& c, int ready, int go) {
    try {
      Client client = broker_.connect();
      Tensor held = client.put("held", filled(5));
      c.prepare(client);
      crash::trap_stores(broker_.at().name().prefix(), tally_);
      [[maybe_unused]] const auto written = write(ready, "\n", 1);
      char byte = 0;
      [[maybe_unused]] const auto n = read(go, &byte, 1);
      c.call(client);
      check(value_of(held) == 5, "what it held has changed");
    } catch (const std::exception& e) {
      check(false, e.what());
    }
    _exit(0);
  }

  // What others see once the client is gone; then all that it left is freed.
  void look(const Call& c, Client& observer, bool killed) {
    EXPECT_TRUE(test::eventually([&] { return observer.stats().sessions == 1; })) << observer.stats().sessions;
    EXPECT_TRUE(test::eventually([&] { return observer.stats().retired == sizeof(float) * kElements; }))
        << "retired: " << observer.stats().retired << ", beside what the observer holds";
    Values all = c.before;
    all.insert(c.after.begin(), c.after.end());
    Values seen;
    for (const auto& [name, value] : all) {
      if (const auto found = observer.find(name)) seen[name] = value_of(*found);
    }
    if (!killed) {
      EXPECT_EQ(seen, c.after);
    } else {
      EXPECT_TRUE(seen == c.before || seen == c.after) << testing::PrintToString(seen);
    }
    for (const Info& info : observer.list("")) observer.remove(info.name);
    EXPECT_TRUE(test::eventually([&] { return observer.stats().used == kPageSize; })) << "the page of what it holds";
    EXPECT_EQ(observer.stats().live, 0u);
  }
};

TEST_F(ClientCrash, Put) {
  kill_everywhere({.call = [](Client& client) { client.put("a", filled(1)); }, .after = {{"a", 1}}});
}

TEST_F(ClientCrash, Replace) {
  kill_everywhere({.prepare = [](Client& client) { client.put("a", filled(1)); },
                   .call = [](Client& client) { client.put("a", filled(2)); },
                   .before = {{"a", 1}},
                   .after = {{"a", 2}}});
}

TEST_F(ClientCrash, PutThatNeedsAnExtent) {
  kill_everywhere({.call =
                       [](Client& client) {
                         const Tensor large = client.create("a", {1 << 19}, kFloat32);
                         std::fill_n(large.data_ptr<float>(), 8, 1.0F);
                         client.put("b", filled(2));
                       },
                   .after = {{"b", 2}}});
}

TEST_F(ClientCrash, DraftThatIsPublished) {
  kill_everywhere({.call =
                       [](Client& client) {
                         Tensor draft = client.create("a", {kElements}, kFloat32);
                         std::fill_n(draft.data_ptr<float>(), kElements, 1.0F);
                         draft.publish();
                       },
                   .after = {{"a", 1}}});
}

TEST_F(ClientCrash, PutWhereABlockCameBack) {
  kill_everywhere({.prepare =
                       [](Client& client) {
                         for (int i = 0; i < 4; ++i) client.put("a", filled(1));
                         test::eventually([&] { return client.stats().retired == 0; });
                       },
                   .call = [](Client& client) { client.put("a", filled(2)); },
                   .before = {{"a", 1}},
                   .after = {{"a", 2}}});
}

TEST_F(ClientCrash, GetListAndRelease) {
  kill_everywhere({.prepare =
                       [](Client& client) {
                         client.put("a", filled(1));
                         client.put("b", filled(2));
                       },
                   .call =
                       [](Client& client) {
                         const Tensor a = client.get("a");
                         check(value_of(client.get("b")) == 2 && !client.exists("c"), "what it got");
                         check(client.list("").size() == 2, "what it listed");
                         check(value_of(client.open(a.handle())) == 1, "what it opened");
                       },
                   .before = {{"a", 1}, {"b", 2}},
                   .after = {{"a", 1}, {"b", 2}}});
}

TEST_F(ClientCrash, DeleteAndTheLastRelease) {
  kill_everywhere({.prepare = [](Client& client) { client.put("a", filled(1)); },
                   .call =
                       [](Client& client) {
                         const Tensor a = client.get("a");
                         client.remove("a");
                         check(value_of(a) == 1, "what it held");
                       },
                   .before = {{"a", 1}}});
}

TEST_F(ClientCrash, MutableTensorOfItsOwn) {
  kill_everywhere({.call =
                       [](Client& client) {
                         const Tensor a = client.zeros({kElements}, kFloat32, "a");
                         check(value_of(client.open("a", OpenMode::kReadWrite)) == 0, "what it opened");
                       },
                   .after = {{"a", 0}}});
}

TEST_F(ClientCrash, WaitForWhatDoesNotCome) {
  kill_everywhere({.call = [](Client& client) {
    check(!client.wait("never", 0, std::chrono::milliseconds(20)), "what it waited for");
  }});
}

// ---------------------------------------------------------------- fork

class ForkCrash : public ClientCrash {
 protected:
  // The caller forks a child that uses what both have, and waits for its end.
  static void fork_and_use(Client& client) {
    const Tensor a = client.get("a");
    const pid_t child = fork();
    if (child == 0) {
      check(value_of(a) == 1 && value_of(client.get("b")) == 2, "what the child has");
      _exit(0);
    }
    int status = 0;
    check(waitpid(child, &status, 0) == child, "no child");
    check(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "its child failed");
    check(value_of(a) == 1, "what the parent has");
    check(fork_again(client), "its next child failed");
  }

  static bool fork_again(Client& client) {
    const pid_t child = fork();
    if (child == 0) _exit(value_of(client.get("b")) == 2 ? 0 : 3);
    int status = 0;
    return waitpid(child, &status, 0) == child && (WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  }

  static void prepare(Client& client) {
    client.put("a", filled(1));
    client.put("b", filled(2));
  }
};

TEST_F(ForkCrash, OfTheParent) {
  kill_everywhere({.prepare = prepare,
                   .call =
                       [this](Client& client) {
                         tally_.shared().only.store(getpid());
                         fork_and_use(client);
                       },
                   .before = {{"a", 1}, {"b", 2}},
                   .after = {{"a", 1}, {"b", 2}}});
}

TEST_F(ForkCrash, OfTheChild) {
  kill_everywhere({.prepare = prepare,
                   .call =
                       [this](Client& client) {
                         tally_.shared().spared.store(getpid());
                         fork_and_use(client);
                       },
                   .before = {{"a", 1}, {"b", 2}},
                   .after = {{"a", 1}, {"b", 2}}});
}

}  // namespace
}  // namespace tensorbroker
