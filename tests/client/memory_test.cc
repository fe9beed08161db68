// What memory is taken, kept warm and given back.

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

using Memory = WithBroker;

TEST_F(Memory, AModelReplacedAThousandTimesTakesNoMoreThanThreeVersions) {
  constexpr std::int64_t kElements = 1 << 20;  // 4 MiB
  Tensor version = client_.put("model", counting({kElements}));
  std::uint64_t most = 0;
  for (int i = 0; i < 1000; ++i) {
    Tensor next = client_.put("model", version);
    version = std::move(next);
    if (i % 100 == 0) most = std::max(most, client_.stats().used);
  }
  EXPECT_LE(most, 3u * 4 * kElements + (1 << 20));
  EXPECT_LE(client_.stats().counters.at("grants"), 4u);
}

TEST_F(Memory, TheEndOfAnExtentGoesBackWhileATensorLiesInTheRest) {
  constexpr std::int64_t kElements = 1 << 18;  // 1 MiB
  client_.put("first", counting({8 * kElements}));
  client_.remove("first");
  const Tensor kept = client_.put("kept", counting({5 * kElements}));
  EXPECT_EQ(client_.stats().counters.at("grants"), 1u);
  EXPECT_EQ(client_.stats().used, 8u * 4 * kElements);
  for (int i = 0; i < 80; ++i) client_.put("other", counting({kElements}));
  EXPECT_LE(client_.stats().used, (5u + 3) * 4 * kElements);
  EXPECT_EQ(values(kept), values(counting({5 * kElements})));
}

// Processes that keep the broker busy until this goes, from before it has a client of its own.
class Busy {
 public:
  Busy(const test::BrokerProcess& broker, std::size_t count) {
    while (children_.size() < count) {
      const pid_t child = fork();
      if (child == 0) keep_busy(broker);
      children_.push_back(child);
    }
  }
  ~Busy() {
    for (const pid_t child : children_) kill(child, SIGKILL);
    for (const pid_t child : children_) waitpid(child, nullptr, 0);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  [[noreturn]] static void keep_busy(const test::BrokerProcess& broker) {
    alarm(60);
    try {
      Client client = broker.connect();
      const float value = 1;
      std::vector<Bundle::Member> many;
      for (int i = 0; i < 32; ++i) {
        many.emplace_back(std::to_string(getpid()) + "/" + std::to_string(i),
                          from_blob(static_cast<const void*>(&value), {1}, kFloat32));
      }
      for (;;) client.put_many(many);
    } catch (const Error&) {
      _exit(1);
    }
  }
  std::vector<pid_t> children_;
};

TEST(MemoryUnderAQuota, WhatWasDeletedServesTheNextPutHoweverBusyTheBrokerIs) {
  const test::BrokerProcess broker({"--capacity", "256MiB", "--session-limit", "8MiB"});
  const Busy busy(broker, 3);
  Client client = broker.connect();
  const std::vector<std::uint8_t> data(5 << 20);
  const Tensor big = from_blob(static_cast<const void*>(data.data()), {5 << 20}, kUInt8);
  for (int i = 0; i < 200; ++i) {
    ASSERT_NO_THROW(client.put("big", big)) << "put " << i;
    client.remove("big");
  }
}

TEST_F(Memory, ATensorOfNinetyPercentOfTheCapacityFits) {
  const auto bytes = static_cast<std::int64_t>(client_.stats().capacity / 10 * 9);
  client_.create("big", {bytes}, kUInt8).publish();
  EXPECT_EQ(client_.get("big").numel(), bytes);
}

TEST_F(Memory, WhatDoesNotFitIsAnErrorWithTheFigures) {
  client_.put("kept", counting({1 << 20}));
  const std::uint64_t capacity = client_.stats().capacity;
  const std::string message =
      refusal<OutOfMemoryError>([&] { client_.create("x", {static_cast<std::int64_t>(capacity) + 1}, kUInt8); });
  for (const std::string& figure : {std::to_string(capacity), std::string("used"), std::string("--capacity")}) {
    EXPECT_NE(message.find(figure), std::string::npos) << message;
  }
  EXPECT_EQ(values(client_.get("kept"))[7], 7) << "nothing was lost";
  client_.put("x", counting({1}));
}

TEST_F(Memory, FilledToTheBrimAndEmptiedItFitsAgain) {
  constexpr std::int64_t kMiB = 1 << 20;
  for (int round = 0; round < 2; ++round) {
    int count = 0;
    std::string message;
    while (message.empty()) {
      message = refusal<OutOfMemoryError>(
          [&] { client_.create("fill/" + std::to_string(count), {16 * kMiB}, kUInt8).publish(); });
      ++count;
    }
    EXPECT_GE(count, 14) << "of 256 MiB";
    for (const Info& info : client_.list("fill/")) client_.remove(info.name);
  }
}

TEST_F(Memory, FreeExtentsOfAnIdleClientAreTakenUnderPressure) {
  client_.create("mine", {120 << 20}, kUInt8).publish();
  client_.remove("mine");  // this process keeps the pages warm
  EXPECT_GE(client_.stats().used, 120u << 20);
  const pid_t child = fork();
  if (child == 0) {
    bool fits = false;
    try {
      client_.create("theirs", {200 << 20}, kUInt8).publish();
      fits = true;
    } catch (const Error&) {
      fits = false;
    }
    _exit(fits ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(client_.stats().counters.at("extents_taken"), 1u);
  client_.remove("theirs");
  client_.put("again", counting({1000}));  // and this process notices
  EXPECT_EQ(values(client_.get("again"))[999], 999);
}

std::uint64_t address_space() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  statm >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

TEST_F(Memory, WhatCannotBeMappedIsAnErrorAndLeavesNoLease) {
  constexpr std::int64_t kBytes = 64 << 20;
  std::string handle = client_.zeros({kBytes}, kUInt8, "m").handle();
  Client other = broker_.connect();  // its own mapping of the pages is what cannot be had
  rlimit before{};
  getrlimit(RLIMIT_AS, &before);
  const rlimit tight{address_space() + kBytes / 2, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  alarm(60);  // instead of a hang
  const std::string message = refusal<OutOfMemoryError>([&] { other.open(handle, OpenMode::kReadWrite); });
  alarm(0);
  setrlimit(RLIMIT_AS, &before);
  EXPECT_NE(message.find("ulimit -v"), std::string::npos) << message;
  EXPECT_EQ(client_.stats().counters.at("leases"), 0u);
  EXPECT_EQ(other.open(handle, OpenMode::kReadWrite).numel(), kBytes);
}

// A broker whose capacity is more than its /dev/shm holds.
void fill_file_system() {
  const test::BrokerProcess broker;
  Client client = broker.connect();
  const std::vector<float> data(1 << 20, 3.0F);
  const Tensor source = from_blob(static_cast<const void*>(data.data()), {1 << 20}, kFloat32);
  std::string message;
  const auto is_full = [&](const std::function<void()>& call) {
    try {
      call();
      return false;
    } catch (const OutOfMemoryError& e) {
      message = e.what();
      return true;
    }
  };
  EXPECT_TRUE(is_full([&] { client.create("x", {100 << 20}, kUInt8); }));
  EXPECT_NE(message.find("/dev/shm"), std::string::npos) << message;
  EXPECT_NE(message.find("--shm-size"), std::string::npos) << "the remedy: " << message;
  int puts = 0;
  while (puts < 100 && !is_full([&] { client.put("f/" + std::to_string(puts), source); })) ++puts;
  EXPECT_GE(puts, 10);
  EXPECT_LT(puts, 100);
  for (const Info& info : client.list()) client.remove(info.name);
  EXPECT_EQ(client.put("after", source).const_data_ptr<float>()[5], 3);
}

TEST_F(Memory, ReservedPagesServeLaterPuts) {
  client_.reserve(64 << 20);
  const std::uint64_t grants = client_.stats().counters.at("grants");
  for (int i = 0; i < 8; ++i) client_.create("r/" + std::to_string(i), {8 << 20}, kUInt8).publish();
  EXPECT_EQ(client_.stats().counters.at("grants"), grants);
}

// Of the extents that this process has mapped: bytes that its page tables have.
std::uint64_t populated_bytes() {
  std::ifstream smaps("/proc/self/smaps");
  std::uint64_t kib = 0;
  bool is_extent = false;
  for (std::string line; std::getline(smaps, line);) {
    const bool is_mapping = line[line.find(' ') - 1] != ':';
    if (is_mapping) is_extent = line.find(" rw-s ") != std::string::npos && line.find(".arena.") != std::string::npos;
    if (is_extent && line.starts_with("Rss:")) kib += std::stoull(line.substr(4));
  }
  return kib << 10;
}

long faults_of_this_thread() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_minflt;
}

TEST_F(Memory, APutIntoReservedPagesTakesNoPageFaults) {
  constexpr std::int64_t kElements = 16 << 20;  // 64 MiB
  const Tensor source = counting({kElements});
  const long begin = faults_of_this_thread();
  client_.put("unreserved", source);
  const long unreserved = faults_of_this_thread() - begin;
  const std::uint64_t before = populated_bytes();
  client_.reserve(4 * kElements);
  ASSERT_TRUE(test::eventually([&] { return populated_bytes() >= before + 4 * kElements; }))
      << "reserve() has them mapped in the background";
  const long ready = faults_of_this_thread();
  Tensor put = client_.put("reserved", source);
  EXPECT_LE(faults_of_this_thread() - ready, 64)
      << "of " << 4 * kElements / 4096 << " pages; unreserved " << unreserved;
  EXPECT_EQ(put.const_data_ptr<float>()[kElements - 1], static_cast<float>(kElements - 1));
}

// The thread that fills the page tables is the writer's helper: whoever ends, forks, or lets go of the memory meanwhile
// need not know of it.
TEST_F(Memory, AnExtentThatIsBeingPopulatedMayGoAtAnyTime) {
  for (int i = 0; i < 20; ++i) {
    Client other = broker_.connect();
    other.reserve(32 << 20);
    if (i % 2 == 0) {
      const pid_t child = fork();
      if (child == 0) _exit(other.stats().sessions > 0 ? 0 : 1);
      int status = -1;
      waitpid(child, &status, 0);
      EXPECT_EQ(status, 0);
    }
    other.close();
  }
}

TEST_F(Memory, PagesArePreparedOnceAClientIsThereAndAreNotUsed) {
  const std::uint64_t wanted = client_.stats().limits.at("prepared");
  EXPECT_GT(wanted, 0u);
  EXPECT_TRUE(test::eventually([&] { return client_.stats().counters.at("warm_bytes") >= wanted; }));
  EXPECT_EQ(client_.stats().used, 0u);
  EXPECT_EQ(client_.stats().free, client_.stats().capacity);
}

// Mounts a tmpfs of so many bytes over /dev/shm, in namespaces of this process's own.
bool have_small_shm(const std::string& size) {
  const uid_t uid = geteuid();
  if (unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) != 0) return false;
  if (uid != 0) std::ofstream("/proc/self/uid_map") << "0 " << uid << " 1";
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("tmpfs", "/dev/shm", "tmpfs", 0, ("size=" + size).c_str()) == 0;
}

TEST(FullFileSystem, IsAnErrorAndNoSignal) {
  const pid_t child = fork();
  if (child == 0) {
    if (!have_small_shm("64m")) _exit(2);
    fill_file_system();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "512: no namespaces for this user; 256: see above; else a signal";
}

}  // namespace
}  // namespace tensorbroker
