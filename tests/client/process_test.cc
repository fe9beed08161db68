// Crash, fork, exec: what becomes of leases, extents and sessions. All with real processes.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

class Processes : public WithBroker {
 protected:
  ~Processes() override {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }

  // Forks; the child runs `work`, tells its result through a pipe, and stays until it is ended.
  pid_t start(const std::function<bool()>& work) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      bool fine = false;
      try {
        fine = work();
      } catch (const std::exception& e) {
        fprintf(stderr, "child: %s\n", e.what());
      }
      [[maybe_unused]] const auto n = write(ends[1], fine ? "y" : "n", 1);
      pause();
      _exit(0);
    }
    close(ends[1]);
    char answer = 0;
    EXPECT_EQ(read(ends[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    close(ends[0]);
    children_.push_back(child);
    return child;
  }

  void end(pid_t child, int signal = SIGKILL) {
    kill(child, signal);
    waitpid(child, nullptr, 0);
    std::erase(children_, child);
  }

  bool nothing_retired() {
    return test::eventually([&] { return client_.stats().retired == 0; });
  }

 private:
  std::vector<pid_t> children_;
};

TEST_F(Processes, AForkedChildHasASessionOfItsOwn) {
  client_.put("w", counting({4}));
  start([&] { return values(client_.get("w"))[3] == 3 && client_.stats().sessions == 2; });
  EXPECT_EQ(client_.stats().sessions, 2u);
}

TEST_F(Processes, AChildKeepsWhatItsParentLetsGo) {
  Tensor held = client_.put("w", counting({1 << 16}, 5));
  int go[2];
  ASSERT_EQ(pipe(go), 0);
  int answer[2];
  ASSERT_EQ(pipe(answer), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(go[1]);
    char byte = 0;
    while (read(go[0], &byte, 1) == 1) {
    }
    const bool fine = values(held)[1000] == 1005;
    [[maybe_unused]] const auto n = write(answer[1], fine ? "y" : "n", 1);
    _exit(0);
  }
  held = Tensor();
  client_.remove("w");
  for (int i = 0; i < 10; ++i) client_.put("other", counting({1 << 16}, 0));
  EXPECT_GT(client_.stats().retired, 0u) << "the child's lease keeps it";
  close(go[1]);
  char byte = 0;
  ASSERT_EQ(read(answer[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(nothing_retired()) << "and its end gives it up";
  close(go[0]);
  close(answer[0]);
  close(answer[1]);
}

TEST_F(Processes, AChildsEndReleasesNothingOfItsParents) {
  Tensor held = client_.put("w", counting({1 << 16}, 5));
  client_.remove("w");
  const pid_t child = start([&] { return values(held)[0] == 5; });
  end(child);
  EXPECT_TRUE(test::eventually([&] { return client_.stats().sessions == 1; }));
  for (int i = 0; i < 10; ++i) client_.put("other", counting({1 << 16}, 0));
  EXPECT_EQ(values(held)[1000], 1005);
}

// Neither of them could tell the broker that there is a child: its parent does so once it is connected again.
TEST_F(Processes, AChildForkedWhileThereIsNoBrokerCountsOnceThereIsOne) {
  Tensor held = client_.put("w", counting({1 << 16}, 5));
  broker_.end(SIGKILL);
  const pid_t child = start([&] { return values(held)[1] == 6; });
  broker_.start();
  EXPECT_EQ(client_.stats().sessions, 2u);
  client_.remove("w");
  held = Tensor();
  EXPECT_EQ(client_.stats().retired, (1u << 16) * sizeof(float)) << "the child holds it";
  end(child);
  EXPECT_TRUE(nothing_retired());
  EXPECT_EQ(client_.stats().sessions, 1u);
}

TEST_F(Processes, AChildCanPublishAndForkAgain) {
  start([&] {
    client_.put("child", counting({4}, 1));
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      client_.put("grandchild", counting({4}, 2));
      _exit(0);
    }
    int status = -1;
    waitpid(grandchild, &status, 0);
    return status == 0;
  });
  EXPECT_EQ(values(client_.get("grandchild"))[0], 2);
  EXPECT_EQ(values(client_.get("child"))[0], 1);
}

TEST_F(Processes, ManyForksInARowEachHaveAnHeir) {
  client_.put("w", counting({4}));
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        _exit(client_.stats().sessions >= 2 && values(client_.get("w"))[3] == 3 ? 0 : 1);
      } catch (const std::exception& e) {
        fprintf(stderr, "child: %s\n", e.what());
        _exit(2);
      }
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "fork " << i;
  }
  EXPECT_TRUE(test::eventually([&] { return client_.stats().sessions == 1; }));
}

// More than a session's segment has lease cells at first: the heir's has grown with it.
TEST_F(Processes, AChildTakesOverMoreLeasesThanASessionBeginsWith) {
  client_.put("w", counting({4}, 1));
  std::vector<Tensor> held;
  for (int i = 0; i < 6000; ++i) held.push_back(client_.get("w"));
  start([&] { return values(held.back())[3] == 4 && values(client_.get("w"))[0] == 1; });
  start([&] { return values(held.front())[3] == 4 && client_.stats().sessions >= 2; });
}

TEST_F(Processes, ADraftOfTheParentIsPrivateInTheChild) {
  Tensor draft = client_.create("x", {1 << 20}, kUInt8);
  draft.data_ptr<std::uint8_t>()[0] = 1;
  start([&] {
    draft.data_ptr<std::uint8_t>()[0] = 99;
    try {
      draft.publish();
    } catch (const RuntimeError&) {
      return true;
    }
    return false;
  });
  EXPECT_EQ(draft.data_ptr<std::uint8_t>()[0], 1);
  draft.publish();
}

TEST_F(Processes, MutableTensorsAreSharedWithTheChild) {
  Tensor counters = client_.zeros({4}, kInt64);
  start([&] {
    counters.data_ptr<std::int64_t>()[1] = 7;
    return true;
  });
  EXPECT_EQ(counters.data_ptr<std::int64_t>()[1], 7);
}

TEST_F(Processes, AKilledClientsLeasesAndExtentsAreFreed) {
  const std::uint64_t used = client_.stats().used;
  client_.put("w", counting({1 << 20}));
  Client& client = client_;
  const pid_t child = start([&] {
    static std::vector<Tensor> kept;
    kept.push_back(client.get("w"));
    kept.push_back(client.create("draft", {16 << 20}, kUInt8));
    client.put("stays", counting({100}, 4));
    return true;
  });
  client_.remove("w");
  EXPECT_GT(client_.stats().retired, 0u);
  end(child);
  EXPECT_TRUE(nothing_retired());
  EXPECT_TRUE(test::eventually([&] { return client_.stats().used < used + (12 << 20); }))
      << "its draft's extent is free";
  EXPECT_EQ(values(client_.get("stays"))[99], 103) << "what it published belongs to its name";
}

TEST_F(Processes, ExecEndsASession) {
  client_.put("w", counting({4}));
  const pid_t child = fork();
  if (child == 0) {
    static Tensor held = client_.get("w");
    execl("/bin/sleep", "sleep", "30", nullptr);
    _exit(1);
  }
  EXPECT_TRUE(test::eventually([&] { return client_.stats().sessions == 1; })) << "though the process lives";
  client_.remove("w");
  EXPECT_TRUE(nothing_retired());
  end(child);
}

TEST_F(Processes, ClosingEveryDescriptorReleasesNothing) {
  Client& client = client_;
  const pid_t child = fork();
  if (child == 0) {
    Tensor held = client.put("w", counting({1000}, 3));
    for (int fd = 3; fd < 1000; ++fd) close(fd);
    const int stranger = open("/dev/null", O_RDWR);  // takes a number that was the library's
    client.remove("w");
    for (int i = 0; i < 10; ++i) client.put("o", counting({1000}, 0));
    const bool fine = values(held)[999] == 1002 && fcntl(stranger, F_GETFD) >= 0;
    _exit(fine ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(Processes, ReadersGoOnWhileTheBrokerIsDeadAndItsSuccessorAdoptsEverything) {
  std::vector<Tensor> held;
  for (int i = 0; i < 50; ++i) {
    held.push_back(client_.put("t/" + std::to_string(i), counting({5000}, static_cast<float>(i))));
  }
  Tensor deleted = client_.put("deleted", counting({5000}, 77));
  client_.remove("deleted");
  Tensor draft = client_.create("draft", {5000}, kFloat32);
  std::iota(draft.data_ptr<float>(), draft.data_ptr<float>() + 5000, 0.0F);
  broker_.end(SIGKILL);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(client_.get("t/" + std::to_string(i)).const_data(), held[i].const_data());
  broker_.start();
  for (int i = 0; i < 50; ++i) {
    const Tensor got = client_.get("t/" + std::to_string(i));
    EXPECT_EQ(got.const_data(), held[i].const_data()) << "where it lay";
    EXPECT_EQ(got.version(), held[i].version());
    EXPECT_EQ(values(got), values(held[i]));
  }
  draft.publish();
  for (int i = 0; i < 20; ++i) client_.put("more", counting({5000}, 0));
  EXPECT_EQ(values(deleted)[4999], 77 + 4999) << "held through the adoption";
  EXPECT_EQ(values(client_.get("draft"))[4999], 4999);
  EXPECT_EQ(client_.list("t/").size(), 50u);
}

TEST_F(Processes, ReadersOfAnInstanceThatEndedKeepWhatTheyHoldAndReconnect) {
  const Tensor held = client_.put("w", counting({5000}, 1));
  EXPECT_EQ(broker_.end(SIGTERM).status, 0);
  EXPECT_TRUE(broker_.at().files().empty()) << "nothing is left in /dev/shm";
  EXPECT_EQ(values(held)[4999], 5000);
  broker_.start();
  EXPECT_FALSE(client_.exists("w")) << "another instance";
  const Tensor put = client_.put("w", counting({1}, 2));
  EXPECT_GT(put.version(), held.version());
  EXPECT_EQ(values(held)[0], 1);
}

// A broker that is stopped carries out later what it was sent: the memory of such a publication is neither used again
// too early nor lost.
TEST_F(Processes, AStoppedBrokersPublicationsAreOfUnknownOutcomeAndTheirMemoryComesBack) {
  client_.put("w", counting({1 << 20}));
  const std::uint64_t used = client_.stats().used;
  ConnectOptions options = broker_.connect_options();
  options.timeout = std::chrono::milliseconds(100);
  Client hasty = Client::connect(options);
  for (int i = 0; i < 10; ++i) {
    kill(broker_.pid(), SIGSTOP);
    const std::string message = refusal<BrokerUnavailableError>([&] { hasty.put("w", counting({1 << 20}, 99)); });
    kill(broker_.pid(), SIGCONT);
    EXPECT_NE(message.find("outcome is unknown"), std::string::npos) << message;
    EXPECT_TRUE(test::eventually([&] { return client_.stats().retired == 0; }));
    client_.put("w", counting({1 << 20}, static_cast<float>(i)));
    EXPECT_EQ(values(client_.get("w"))[0], static_cast<float>(i));
  }
  EXPECT_LE(client_.stats().used, used + (8 << 20)) << "each of them had 4 MiB";
}

TEST_F(Processes, WithoutABrokerWritersSayThatNothingWasSent) {
  ConnectOptions options = broker_.connect_options();
  options.timeout = std::chrono::milliseconds(200);
  client_.close();
  Client hasty = Client::connect(options);
  const Tensor held = hasty.put("w", counting({4}));
  broker_.end(SIGKILL);
  EXPECT_NE(refusal<BrokerUnavailableError>([&] { hasty.put("w", counting({4})); }).find("nothing was sent"),
            std::string::npos);
  EXPECT_EQ(values(hasty.get("w"))[3], 3) << "readers need no broker";
  EXPECT_NE(refusal<BrokerUnavailableError>([&] { Client::connect(options); }).find("autostart is off"),
            std::string::npos);
}

}  // namespace
}  // namespace tensorbroker
