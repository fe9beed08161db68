// A hostile process of the same user truncates a segment under a client that has installed the handler of SIGBUS, or
// has not. Each case is a process of its own: a handler stays for good.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <tensorbroker/sigbus.h>
#include <unistd.h>

#include <atomic>
#include <csetjmp>
#include <csignal>
#include <functional>
#include <memory>
#include <thread>

#include "client/storage.h"
#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

constexpr std::int64_t kMiB = 1 << 20;
constexpr unsigned kSecondsToLive = 60;
constexpr int kReached = 77;  // the exit status of a test's own handlers

class Sigbus : public WithBroker {
 protected:
  // The status of a child that runs `work`: 0 where that returned true; 128 + signal.
  static int in_child(const std::function<bool()>& work) {
    const pid_t child = fork();
    if (child == 0) {
      const rlimit no_core{0, 0};
      setrlimit(RLIMIT_CORE, &no_core);
      alarm(kSecondsToLive);
      try {
        _exit(work() ? 0 : 1);
      } catch (const std::exception& e) {
        fprintf(stderr, "child: %s\n", e.what());
        _exit(2);
      }
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  // A broker without the truncated instance, and a client of it.
  void start_anew() {
    broker_.end(SIGTERM);
    broker_.start();
    client_ = broker_.connect();
  }

  std::string path_of(const std::string& kind) const {
    for (const std::string& file : broker_.at().files()) {
      if (file.find("." + kind + ".") != std::string::npos) return "/dev/shm/" + file;
    }
    return {};
  }
  void cut(const std::string& kind, std::uint64_t bytes) const {
    if (truncate(path_of(kind).c_str(), static_cast<off_t>(bytes)) != 0) throw RuntimeError("cannot truncate");
  }
  void cut_arena(std::uint64_t bytes = 4096) const { cut("arena", bytes); }

  // Sums bytes without asking the library for them again.
  static std::uint64_t sum(const void* data, std::size_t bytes) {
    std::uint64_t total = 0;
    const auto* p = static_cast<const volatile std::uint8_t*>(data);
    for (std::size_t i = 0; i < bytes; ++i) total += p[i];
    return total;
  }

  static bool is_refused(const std::function<void()>& call) {
    try {
      call();
    } catch (const CorruptSegmentError&) {
      return true;
    }
    return false;
  }

  Tensor put_ones(const std::string& name, std::int64_t bytes) {
    static const std::vector<std::uint8_t> ones(64 * kMiB, 1);
    return client_.put(name, from_blob(static_cast<const void*>(ones.data()), {bytes}, kUInt8));
  }
};

TEST_F(Sigbus, WithoutTheHandlerAReaderDiesOfIt) {
  EXPECT_EQ(in_child([&] {
              const Tensor held = put_ones("x", kMiB);
              const void* data = held.const_data();
              cut_arena();
              return sum(data, kMiB) == 0;
            }),
            128 + SIGBUS);
}

TEST_F(Sigbus, AReaderFindsZerosAndTheTensorIsCorrupt) {
  EXPECT_EQ(in_child([&] {
              install_sigbus_handler();
              const Tensor held = put_ones("x", kMiB);
              const void* data = held.const_data();
              if (held.is_corrupt() || sum(data, kMiB) != kMiB) return false;
              cut_arena();
              if (sum(data, kMiB) != 0 || !held.is_corrupt() || !held.select(0, 5).is_corrupt()) return false;
              return is_refused([&] { held.const_data(); }) && is_refused([&] { held.clone(); }) &&
                     is_refused([&] { held.select(0, 5).item(); }) && is_refused([&] { held.exportable(); }) &&
                     is_refused([&] { held.to_string(); });
            }),
            0);
}

// The operation that meets it says so, not the next one alone.
TEST_F(Sigbus, WhatMeetsItIsRefused) {
  const std::vector<std::function<void(const Tensor&)>> calls = {
      [](const Tensor& t) { t.clone(); },
      [](const Tensor& t) { t.select(0, kMiB - 1).item(); },
      [](const Tensor& t) { t.to(kFloat32); },
      [](const Tensor& t) { t.equal(t); },
      [](const Tensor& t) { t.to_string(); },
      [this](const Tensor& t) { client_.put("again", t); },
      [this](const Tensor& t) { client_.put_bundle("both", std::vector<Bundle::Member>{{"t", t}}); },
  };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    EXPECT_EQ(in_child([&] {
                install_sigbus_handler();
                const Tensor held = put_ones("x", kMiB);
                client_.reserve(8 * kMiB);
                kill(broker_.pid(), SIGSTOP);  // it would end the instance before put() reads anything
                cut_arena();
                return is_refused([&] { calls[i](held); });
              }),
              0)
        << "call " << i;
    kill(broker_.pid(), SIGCONT);
    EXPECT_TRUE(test::eventually([&] { return broker_.at().files().empty(); }));
    start_anew();
  }
}

TEST_F(Sigbus, WhatLiesBelowTheCutIsWhatItWas) {
  EXPECT_EQ(in_child([&] {
              install_sigbus_handler();
              Tensor low = put_ones("a", kMiB);
              Tensor high = put_ones("b", kMiB);
              if (low.storage()->block_offset() > high.storage()->block_offset()) std::swap(low, high);
              const std::uint64_t half = high.storage()->block_offset() + kMiB / 2;
              const void* data = high.const_data();
              cut_arena(half + 100);  // amid a page, whose rest reads as zeros without a fault
              if (high.is_corrupt() != true || sum(data, kMiB) != kMiB / 2 + 100) return false;
              return !low.is_corrupt() && low.clone().equal(low) && sum(low.const_data(), kMiB) == kMiB &&
                     is_refused([&] { high.const_data(); });
            }),
            0);
}

TEST_F(Sigbus, AThreadThatCopiesMeetsIt) {
  EXPECT_EQ(in_child([&] {
              install_sigbus_handler();
              const Tensor held = put_ones("x", 64 * kMiB);
              std::atomic<int> copies{0};
              std::atomic<bool> refused{false};
              std::thread copier([&] {
                refused = is_refused([&] {
                  for (;; ++copies) held.clone();
                });
              });
              while (copies < 2) usleep(100);
              usleep(3000);
              cut_arena(held.storage()->block_offset() + 20 * kMiB);
              copier.join();
              return refused.load() && held.is_corrupt();
            }),
            0);
}

// The pages of each view of the arena are gone, and the fault of one must not hide that of the other.
TEST_F(Sigbus, EveryMappingOfATensorHasIt) {
  EXPECT_EQ(in_child([&] {
              install_sigbus_handler();
              Tensor draft = client_.create("d", {kMiB}, kUInt8);
              Tensor counters = client_.zeros({kMiB}, kUInt8, "m");
              const Tensor held = put_ones("x", kMiB);
              const Tensor copy = held.exportable();
              std::vector<std::uint8_t*> writable = {draft.data_ptr<std::uint8_t>(), counters.data_ptr<std::uint8_t>(),
                                                     copy.data_ptr<std::uint8_t>()};
              const void* read_only = client_.get("m").const_data();
              cut_arena();
              for (std::uint8_t* data : writable) {
                if (sum(data, kMiB) != 0) return false;
                data[5] = 9;  // to a page of this process
                if (sum(data, kMiB) != 9) return false;
              }
              return sum(read_only, kMiB) == 0 && draft.is_corrupt() && counters.is_corrupt() && copy.is_corrupt() &&
                     is_refused([&] { counters.fill_(1); }) && is_refused([&] { draft.publish(); });
            }),
            0);
}

TEST_F(Sigbus, ThousandsOfMappings) {
  EXPECT_EQ(in_child([&] {
              install_sigbus_handler();
              put_ones("x", kMiB);
              std::vector<Tensor> copies;
              for (int round = 0; round < 2; ++round) {  // what was unmapped makes room
                copies.clear();
                for (int i = 0; i < 3000; ++i) copies.push_back(client_.open("x", OpenMode::kCopyOnWrite));
              }
              std::vector<const void*> places;
              for (const Tensor& copy : copies) places.push_back(copy.const_data());
              cut_arena();
              for (const void* place : places) {
                if (sum(place, 3) != 0 || sum(static_cast<const char*>(place) + kMiB - 3, 3) != 0) return false;
              }
              return copies.front().is_corrupt() && copies.back().is_corrupt();
            }),
            0);
}

TEST_F(Sigbus, AForkedChildKeepsIt) {
  EXPECT_EQ(in_child([&] {
              install_sigbus_handler();
              const Tensor held = put_ones("x", kMiB);
              const void* data = held.const_data();
              return in_child([&] {
                       cut_arena();
                       return sum(data, kMiB) == 0 && held.is_corrupt() && is_refused([&] { held.clone(); });
                     }) == 0 &&
                     sum(data, kMiB) == 0 && held.is_corrupt();
            }),
            0);
}

TEST_F(Sigbus, TensorsOfAClosedClientHaveItToo) {
  EXPECT_EQ(in_child([&] {
              install_sigbus_handler();
              Client client = broker_.connect();
              const Tensor held = put_ones("x", kMiB);
              const void* data = held.const_data();
              client.close();
              client_.close();
              cut_arena();
              return sum(data, kMiB) == 0 && held.is_corrupt() && is_refused([&] { held.clone(); });
            }),
            0);
}

// What the tables said is not known any more: nothing that was leased by them is to be trusted.
class TruncatedTables : public Sigbus, public testing::WithParamInterface<const char*> {};

TEST_P(TruncatedTables, MakeWhatIsHeldCorrupt) {
  EXPECT_EQ(in_child([&] {
              install_sigbus_handler();
              Client client = broker_.connect();
              const Tensor held = put_ones("x", kMiB);
              for (const std::string& file : broker_.at().files()) {
                if (file.find(std::string(".") + GetParam() + ".") == std::string::npos) continue;
                if (truncate(("/dev/shm/" + file).c_str(), 0) != 0) return false;
              }
              try {
                client.get("x");  // by another session, where the broker serves on
                if (GetParam() == std::string("catalog")) return false;
              } catch (const Error& e) {
                fprintf(stderr, "%s\n", e.what());
              }
              return held.is_corrupt() && is_refused([&] { held.clone(); });
            }),
            0);
}

INSTANTIATE_TEST_SUITE_P(Each, TruncatedTables, testing::Values("catalog", "session"));

// ---------------------------------------------------------------- every other SIGBUS

// A page of a file of one's own whose end is before it.
volatile char* missing_page() {
  const int fd = static_cast<int>(memfd_create("own", 0));
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return static_cast<volatile char*>(page);
}

volatile char* g_expected = nullptr;
sigjmp_buf g_back;

void own_with_info(int, siginfo_t* info, void*) {
  _exit(info->si_addr == const_cast<char*>(g_expected) && info->si_code == BUS_ADRERR ? kReached : 3);
}
void own_plain(int) { _exit(kReached); }
void own_that_jumps(int) { siglongjmp(g_back, 1); }

// As faulthandler does: puts back what was there before, and raises.
struct sigaction g_before;
void own_that_raises(int) {
  sigaction(SIGBUS, &g_before, nullptr);
  raise(SIGBUS);
}

struct sigaction action_of(void (*handler)(int), int flags = 0) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  return action;
}

TEST_F(Sigbus, OfOthersReachesTheHandlerBeforeIt) {
  g_expected = missing_page();
  EXPECT_EQ(in_child([] {
              struct sigaction own{};
              own.sa_sigaction = &own_with_info;
              own.sa_flags = SA_SIGINFO;
              sigaction(SIGBUS, &own, nullptr);
              install_sigbus_handler();
              return *g_expected == 0;
            }),
            kReached);
  EXPECT_EQ(in_child([] {
              const auto own = action_of(&own_plain);
              sigaction(SIGBUS, &own, nullptr);
              install_sigbus_handler();
              return *g_expected == 0;
            }),
            kReached);
  EXPECT_EQ(in_child([] {
              const auto own = action_of(&own_plain);
              sigaction(SIGBUS, &own, nullptr);
              install_sigbus_handler();
              kill(getpid(), SIGBUS);
              return false;
            }),
            kReached);
  munmap(const_cast<char*>(g_expected), 4096);
}

TEST_F(Sigbus, OfOthersEndsAProcessThatHadNoHandler) {
  g_expected = missing_page();
  EXPECT_EQ(in_child([] {
              install_sigbus_handler();
              return *g_expected == 0;
            }),
            128 + SIGBUS);
  EXPECT_EQ(in_child([] {
              install_sigbus_handler();
              kill(getpid(), SIGBUS);
              return true;
            }),
            128 + SIGBUS);
  EXPECT_EQ(in_child([] {
              signal(SIGBUS, SIG_IGN);
              install_sigbus_handler();
              kill(getpid(), SIGBUS);
              return true;
            }),
            0)
      << "what was ignored still is";
  munmap(const_cast<char*>(g_expected), 4096);
}

TEST_F(Sigbus, AHandlerThatJumpsMayDoSoAgainAndAgain) {
  g_expected = missing_page();
  EXPECT_EQ(in_child([&] {
              const auto own = action_of(&own_that_jumps);
              sigaction(SIGBUS, &own, nullptr);
              install_sigbus_handler();
              static volatile int jumps = 0;
              if (sigsetjmp(g_back, 1) != 0) jumps = jumps + 1;
              if (jumps < 5) static_cast<void>(*g_expected);
              const Tensor held = put_ones("x", kMiB);
              const void* data = held.const_data();
              cut_arena();
              return sum(data, kMiB) == 0 && jumps == 5;
            }),
            0);
  munmap(const_cast<char*>(g_expected), 4096);
}

TEST_F(Sigbus, OneThatWasInstalledLaterMayPassItOnByRaising) {
  for (const int flags : {0, static_cast<int>(SA_NODEFER)}) {
    EXPECT_EQ(in_child([&] {
                install_sigbus_handler();
                const auto own = action_of(&own_that_raises, flags);
                sigaction(SIGBUS, &own, &g_before);
                const Tensor held = put_ones("x", kMiB);
                const void* data = held.const_data();
                cut_arena();
                return sum(data, kMiB) == 0 && held.is_corrupt();
              }),
              0);
    start_anew();
  }
}

TEST_F(Sigbus, ARaiseThatIsNoFaultIsTheUsers) {
  EXPECT_EQ(in_child([&] {
              install_sigbus_handler();
              const Tensor held = put_ones("x", kMiB);
              const void* data = held.const_data();
              cut_arena();
              if (sum(data, kMiB) != 0) return false;
              raise(SIGBUS);
              return true;
            }),
            128 + SIGBUS);
}

TEST_F(Sigbus, InstalledTwiceAndBeforeOthersAgain) {
  g_expected = missing_page();
  const auto start = [&](int again) {
    install_sigbus_handler();
    install_sigbus_handler();
    for (int i = 0; i < again; ++i) {
      const auto own = action_of(&own_that_raises);
      sigaction(SIGBUS, &own, &g_before);
      install_sigbus_handler();
    }
  };
  EXPECT_EQ(in_child([&] {
              start(3);
              const Tensor held = put_ones("x", kMiB);
              const void* data = held.const_data();
              cut_arena();
              return sum(data, kMiB) == 0 && held.is_corrupt();
            }),
            0);
  EXPECT_EQ(in_child([&] {
              start(1);
              return *g_expected == 0;
            }),
            128 + SIGBUS)
      << "in a circle of handlers";
  EXPECT_EQ(in_child([&] {
              start(7);
              const auto own = action_of(&own_that_raises);
              sigaction(SIGBUS, &own, &g_before);
              return !refusal<RuntimeError>([] { install_sigbus_handler(); }).empty();
            }),
            0);
  munmap(const_cast<char*>(g_expected), 4096);
}

}  // namespace
}  // namespace tensorbroker
