// Clients that speak the protocol with other intentions: each loses its connection with a logged reason, or is refused,
// the client beside it is served throughout, and what it had is reclaimed.

#include "hostile_test.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>
#include <random>
#include <span>
#include <thread>

#include "proto/frame.h"
#include "proto/session_layout.h"

namespace tensorbroker::test {
namespace {

constexpr std::uint64_t kHuge = ~std::uint64_t{0};

class Hostile : public HostileTest {
 protected:
  ~Hostile() override {
    if (child_ > 0) end_child();
    munmap(done_, sizeof *done_);
  }

  // Runs `work` in a child of this process, which then stays; waits until it is done.
  void run_in_child(const std::function<void()>& work) {
    child_ = fork();
    if (child_ == 0) {
      work();
      done_->store(1);
      for (;;) pause();
    }
    ASSERT_TRUE(eventually([&] { return done_->load() != 0; }));
  }
  void end_child() {
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = -1;
  }

  // Names every entry in its lease table.
  static void lease_everything(const RawSession& session) {
    session.segment->control().lease_high_water.store(kInitialLeases);
    for (EntryId id = 0; id < kInitialLeases; ++id) session.segment->lease(id).store(lease_of(id));
  }

  // Something that others may get, is deleted, and stays as long as somebody leases it.
  void put_victim() {
    static const std::vector<float> data(1 << 16, 5);
    client_->put("victim", from_blob(static_cast<const void*>(data.data()), {1 << 16}, kFloat32));
  }

  static unsigned seed() {
    const char* given = std::getenv("TENSORBROKER_TEST_SEED");
    const unsigned chosen = given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
    printf("seed %u\n", chosen);
    return chosen;
  }

  std::atomic<int>* done_ = static_cast<std::atomic<int>*>(
      mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  pid_t child_ = -1;
};

// ---------------------------------------------------------------- messages

TEST_F(Hostile, ArbitraryBytes) {
  start();
  std::mt19937 random(seed());
  for (int round = 0; round < 200; ++round) {
    const auto socket = connect();
    std::vector<std::uint32_t> garbage(1 + random() % 2000);
    for (std::uint32_t& word : garbage) word = static_cast<std::uint32_t>(random());
    if (round % 2 == 0) garbage[0] %= 256;  // a length that passes
    send_raw(*socket, garbage.data(), garbage.size() * sizeof garbage[0]);
    socket->shut_down();
  }
  expect_logged("a message that does not verify");
  expect_logged("a frame of ");
  expect_reclaimed();
}

class Messages {
 public:
  Messages(std::mt19937& random, const RawSession& session) : random_(random), session_(session) {}

  // Any request but Stop, which everybody of this user may say, with values from the edges of what they may be.
  Frame next() {
    const std::uint64_t number = ++number_;
    switch (random_() % 14) {
      case 0:
        return message(schema::Request::Grant, [&](Builder& b) { return schema::CreateGrant(b, size()); }, number);
      case 1:
        return message(
            schema::Request::GiveBack,
            [&](Builder& b) {
              const std::uint32_t ids[] = {entry(), entry()};
              return schema::CreateGiveBack(b, b.CreateVector(ids, random_() % 3));
            },
            number);
      case 2:
      case 3:
      case 4: {
        const std::uint64_t elements = random_() % 3 == 0 ? size() % 65536 : 0;
        return publication(entry(), name(), float_header(static_cast<std::int64_t>(elements)), size(), elements * 4,
                           number);
      }
      case 5:
        return message(
            schema::Request::Delete,
            [&](Builder& b) {
              const auto text = b.CreateString(name());
              return schema::CreateDelete(b, text, size());
            },
            number);
      case 6:
        return message(
            schema::Request::Pin,
            [&](Builder& b) {
              const auto text = random_() % 2 == 0 ? b.CreateString(name()) : 0;
              return schema::CreatePin(b, text, entry(), size(), random_() % 3);
            },
            number);
      case 7:
        return message(
            schema::Request::Unpin, [&](Builder& b) { return schema::CreateUnpin(b, entry(), size()); }, number);
      case 8:
        return message(
            schema::Request::Send, [&](Builder& b) { return schema::CreateSend(b, entry(), size(), random_() % 3); },
            number);
      case 9:
        return message(
            schema::Request::Holders, [&](Builder& b) { return schema::CreateHolders(b, entry(), size()); }, number);
      case 10:
        return message(schema::Request::Spares, [&](Builder& b) { return schema::CreateSpares(b, entry()); }, number);
      case 11:
        return message(
            schema::Request::GrowLeases, [&](Builder& b) { return schema::CreateGrowLeases(b, entry()); }, number);
      case 12:
        return message(
            schema::Request::NextHeir,
            [&](Builder& b) { return schema::CreateNextHeir(b, session_.id + random_() % 4); }, number);
      default:
        return random_() % 8 == 0
                   ? hello(session_.id)
                   : message(schema::Request::Stats, [](Builder& b) { return schema::CreateStats(b); }, number);
    }
  }

 private:
  std::uint64_t size() {
    static const std::uint64_t sizes[] = {0,
                                          1,
                                          4095,
                                          4096,
                                          4097,
                                          8192,
                                          65535,
                                          65536,
                                          1 << 20,
                                          64 << 20,
                                          kHuge,
                                          kHuge - 4095,
                                          kHuge / 2,
                                          kHuge / 2 + 1,
                                          std::uint64_t{1} << 32};
    return sizes[random_() % std::size(sizes)];
  }
  EntryId entry() {
    switch (random_() % 4) {
      case 0:
        return session_.spares[random_() % session_.spares.size()];
      case 1:
        return static_cast<EntryId>(random_() % 64);
      case 2:
        return static_cast<EntryId>(random_());
      default:
        return kNoEntry - static_cast<EntryId>(random_() % 2);
    }
  }
  std::string name() {
    static const std::string names[] = {
        "", "a", "b", "c", "a\nb", "tb://x", std::string(255, 'n'), std::string(256, 'n')};
    return names[random_() % std::size(names)];
  }

  std::mt19937& random_;
  const RawSession& session_;
  std::uint64_t number_ = 10;
};

TEST_F(Hostile, ValidMessagesInAnyOrderWithForgedIdsAndSizesAtTheirEdges) {
  start({"--session-limit", "16MiB"});
  std::mt19937 random(seed());
  for (int round = 0; round < 10; ++round) {
    const RawSession session = attach();
    Messages messages(random, session);
    for (int i = 0; i < 150; ++i) {
      if (!ask(*session.socket, messages.next())) break;
    }
    expect_others_served();
  }
  for (const Info& info : client_->list()) {
    if (info.name != "kept") client_->remove(info.name);
  }
  expect_logged("a second Hello");
  EXPECT_TRUE(eventually([&] { return client_->stats().sessions == 1; }));
}

TEST_F(Hostile, ABlockWhoseEndWrapsAroundIsRefused) {
  start();
  const RawSession session = attach();
  ASSERT_EQ(error_of(ask(*session.socket,
                         message(schema::Request::Grant, [](Builder& b) { return schema::CreateGrant(b, 16 << 20); }))),
            ErrorCode::kOk);
  const auto reply =
      ask(*session.socket, publication(session.spares[0], "wrapped", float_header(1 << 14), kHuge - 4095, 1 << 16, 11));
  ASSERT_TRUE(reply);
  EXPECT_EQ(error_of(reply), ErrorCode::kInvalidArgument);
}

TEST_F(Hostile, AForgedPidIsRefused) {
  start();
  const auto socket = connect();
  const auto reply = ask(*socket, hello(0, broker_->pid()));
  ASSERT_TRUE(reply);
  EXPECT_EQ(error_of(reply), ErrorCode::kInvalidArgument);
  EXPECT_NE(text_of(reply).find(std::to_string(getpid())), std::string::npos) << text_of(reply);
  EXPECT_TRUE(is_closed(*socket));
  expect_logged("the client says that its pid is " + std::to_string(broker_->pid()));
  expect_reclaimed();
}

TEST_F(Hostile, APidOfAnotherNamespaceIsNotForged) {
  start();
  run_in_child([&] {
    if (unshare(CLONE_NEWPID) != 0) {
      done_->store(2);
      return;
    }
    const pid_t first = fork();
    if (first == 0) {
      const auto welcome = ask(*connect(), hello());
      _exit(getpid() == 1 && welcome && error_of(welcome) == ErrorCode::kOk ? 0 : 1);
    }
    int status = -1;
    waitpid(first, &status, 0);
    if (status != 0) _exit(1);
  });
  if (done_->load() == 2) GTEST_SKIP() << "needs the right to make a pid namespace";
  end_child();
  expect_reclaimed();
}

TEST_F(Hostile, AFloodOfSlowRequestsLeavesOthersServed) {
  start();
  run_in_child([&] {
    const RawSession session = attach();
    lease_everything(session);
    ask(*session.socket,
        message(schema::Request::GrowLeases, [](Builder& b) { return schema::CreateGrowLeases(b, kLeasesLimit); }));
    session.segment->control().lease_high_water.store(kLeasesLimit);
    Builder builder;
    std::vector<flatbuffers::Offset<schema::RequestItem>> items;
    for (std::size_t i = 0; i < kMaxItemsPerRequest; ++i) {
      const auto body = schema::CreateHolders(builder, 0, 0).Union();
      items.push_back(schema::CreateRequestItem(builder, schema::Request::Holders, body));
    }
    builder.Finish(schema::CreateRequestMessage(builder, 100, builder.CreateVector(items)));
    const auto* bytes = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
    const Frame slow(bytes, bytes + builder.GetSize());
    done_->store(1);
    for (;;) {
      session.segment->control().ring.store(1);
      write_frame(*session.socket, slow, Limit::in(std::chrono::seconds(30)));
      read_frame(*session.socket, Limit::in(std::chrono::seconds(30)));
    }
  });
  for (int i = 0; i < 100; ++i) expect_others_served();
  end_child();
  expect_reclaimed();
}

// ---------------------------------------------------------------- the session's segment

TEST_F(Hostile, ASegmentThatChangesWhileItIsRead) {
  start();
  {
    const RawSession session = attach();
    ask(*session.socket, message(schema::Request::Grant, [](Builder& b) { return schema::CreateGrant(b, 16 << 20); }));
    std::mt19937_64 random(seed());
    std::atomic<bool> stop{false};
    std::thread scribbler([&] {
      SessionControl& control = session.segment->control();
      while (!stop) {
        for (Word* word : {&control.lease_high_water, &control.ring, &control.waiters, &control.returns_tail,
                           &control.leases_committed, &control.returns_head, &control.requests_tail,
                           &control.requests_head, &control.requests_asleep, &control.replies_tail,
                           &control.replies_head, &control.replies_asleep, &control.requests_processor}) {
          word->store(random());
        }
        session.segment->lease(static_cast<std::uint32_t>(random() % kInitialLeases)).store(random());
        session.segment->extent_state(static_cast<std::uint32_t>(random() % 512)).store(random() % 6);
        session.segment->block_return(random()).generation.store(random());
      }
    });
    for (int i = 0; i < 200; ++i) expect_others_served();
    stop = true;
    scribbler.join();
  }
  expect_reclaimed();
}

TEST_F(Hostile, ASegmentThatIsTruncatedWhileItIsRead) {
  start();
  std::span<std::byte> mapped;
  {
    RawSession session = attach();
    const std::string path = "/dev/shm/" + broker_->at().name().segment(SegmentKind::kSession, session.id);
    session.segment->control().lease_high_water.store(kInitialLeases);
    std::atomic<bool> stop{false};
    std::thread truncator([&] {
      const auto size = static_cast<off_t>(session.segment->segment().size());
      for (off_t to = size; !stop; to = to > 0 ? to / 2 : size) {
        if (truncate(path.c_str(), to) != 0) break;  // it is gone
        usleep(200);
      }
    });
    EXPECT_TRUE(eventually([&] {
      expect_others_served();
      return broker_->at().log().find("it truncated its segment") != std::string::npos;
    }));
    stop = true;
    truncator.join();
    EXPECT_TRUE(is_closed(*session.socket));
    mapped = {session.segment->segment().data(), session.segment->segment().size()};
    session.segment->segment().release();  // still mapped, and so locked; its pages may be gone
  }
  expect_reclaimed();
  munmap(mapped.data(), mapped.size());
}

// ---------------------------------------------------------------- silence, exec, descriptors

TEST_F(Hostile, SilenceWithLeasesLosesTheConnectionAndReleasesNothing) {
  start({"--client-timeout", "0.3"});
  put_victim();
  run_in_child([&] {
    static RawSession session = attach();
    lease_everything(session);
    const std::uint32_t length = 100;
    send_raw(*session.socket, &length, sizeof length);
    is_closed(*session.socket);
  });
  expect_logged("it did not finish a message within 300 ms");
  client_->remove("victim");
  for (int i = 0; i < 10; ++i) expect_others_served();
  EXPECT_GT(client_->stats().retired, 0u) << "losing the connection releases nothing";
  end_child();
  expect_reclaimed();
}

TEST_F(Hostile, EveryDescriptorClosedUnderIt) {
  start();
  put_victim();
  run_in_child([&] {
    static RawSession session = attach();
    lease_everything(session);
    closefrom(3);
  });
  client_->remove("victim");
  for (int i = 0; i < 10; ++i) expect_others_served();
  EXPECT_GT(client_->stats().retired, 0u) << "its mapping is its proof of life";
  end_child();
  expect_reclaimed();
}

TEST_F(Hostile, ExecEndsItsSession) {
  start();
  put_victim();
  run_in_child([&] {
    static RawSession session = attach();
    lease_everything(session);
    done_->store(1);
    execl("/bin/sleep", "sleep", "600", nullptr);
    _exit(1);
  });
  client_->remove("victim");
  expect_reclaimed();
  expect_logged("its process has ended");
}

TEST_F(Hostile, ExecWithTheSocketKeptOpenEndsItsSession) {
  start();
  put_victim();
  run_in_child([&] {
    static RawSession session = attach();
    lease_everything(session);
    fcntl(session.socket->fd(), F_SETFD, 0);
    done_->store(1);
    execl("/bin/sleep", "sleep", "600", nullptr);
    _exit(1);
  });
  expect_logged("its process has ended, or executed another program");
  client_->remove("victim");
  expect_reclaimed();
}

TEST_F(Hostile, ABrokerWithoutWorkSleepsWhateverWasOpenedAndClosed) {
  start();
  const RawSession session = attach();
  const std::string path = "/dev/shm/" + broker_->at().name().segment(SegmentKind::kSession, session.id);
  for (int i = 0; i < 100; ++i) close(open(path.c_str(), O_RDWR | O_CLOEXEC));
  const auto switches = [this] {
    std::ifstream status("/proc/" + std::to_string(broker_->pid()) + "/status");
    std::string line;
    while (std::getline(status, line) && !line.starts_with("voluntary_ctxt_switches")) {
    }
    return line;
  };
  EXPECT_TRUE(eventually([&] {
    const std::string before = switches();
    usleep(1'500'000);
    return switches() == before;
  })) << switches();
  EXPECT_EQ(client_->stats().sessions, 2u);
}

TEST_F(Hostile, AnEndedClientsReusedPidProvesNothing) {
  start();
  put_victim();
  run_in_child([&] {
    static RawSession session = attach();
    lease_everything(session);
  });
  // Its pid lives on in a zombie, and a pid is no proof of life.
  kill(child_, SIGKILL);
  client_->remove("victim");
  expect_reclaimed();
  end_child();
}

}  // namespace
}  // namespace tensorbroker::test
