// Waiting busily: `spin` of WaitOptions.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <csignal>
#include <limits>
#include <thread>

#include "client/client_impl.h"
#include "proto/name.h"
#include "proto/segment_name.h"
#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr WaitOptions kLong{.spin = seconds(60)};
constexpr WaitOptions kShort{.spin = milliseconds(1)};

class WaitSpin : public WithBroker {
 protected:
  // Threads of this process's session that are counted as waiting.
  std::uint64_t waiters() const {
    const Client::Impl::Use connection(*client_.impl());
    return Attachment::Use(connection->current())->control().waiters.load();
  }

  // Waits for "w" in a thread, and says when it has begun to look.
  std::thread wait_in_thread(std::optional<Tensor>* got, const WaitOptions& options) {
    std::thread thread([this, got, options] {
      *got = std::get<Tensor>(*client_.wait_object("w", 0, seconds(60), [this] { ++looks_; }, options));
    });
    EXPECT_TRUE(test::eventually([&] { return looks_ > 0 || waiters() > 0; }));
    return thread;
  }

  std::atomic<int> looks_ = 0;  // around, between slices of spinning or sleep
};

TEST_F(WaitSpin, SeesAPublicationOfAnotherProcessAndIsNoWaiterMeanwhile) {
  std::optional<Tensor> got;
  std::thread waiter = wait_in_thread(&got, kLong);
  EXPECT_EQ(waiters(), 0U);
  const pid_t child = fork();
  if (child == 0) {
    client_.put("w", counting({1}, 3));
    _exit(0);
  }
  waiter.join();
  EXPECT_EQ(values(*got), std::vector<float>{3});
  EXPECT_EQ(waiters(), 0U);
  waitpid(child, nullptr, 0);
}

TEST_F(WaitSpin, LooksAroundEveryFewMilliseconds) {
  std::optional<Tensor> got;
  std::thread waiter = wait_in_thread(&got, kLong);
  EXPECT_TRUE(test::eventually([&] { return looks_ > 20; }, 10));  // one that sleeps has looked ten times by then
  client_.put("w", counting({1}));
  waiter.join();
}

TEST_F(WaitSpin, SleepsAfterItAndIsWoken) {
  std::optional<Tensor> got;
  std::thread waiter = wait_in_thread(&got, kShort);
  EXPECT_TRUE(test::eventually([&] { return waiters() == 1; }));
  client_.put("w", counting({1}, 4));
  waiter.join();
  EXPECT_EQ(values(*got), std::vector<float>{4});
  EXPECT_EQ(waiters(), 0U);
}

// Publications that come just when it stops spinning: one that were missed would cost a slice of a second.
TEST_F(WaitSpin, MissesNoneAsItFallsAsleep) {
  constexpr int kVersions = 400;
  std::uint64_t version = client_.put("w", counting({1})).version();
  std::atomic<int> seen = 0;
  std::thread writer([&] {
    for (int i = 0; i < kVersions; ++i) {
      while (seen.load() < i) std::this_thread::yield();
      client_.put("w", counting({1}, static_cast<float>(i)));
    }
  });
  const auto begin = std::chrono::steady_clock::now();
  for (; seen.load() < kVersions; ++seen) {
    const WaitOptions options{.spin = std::chrono::microseconds(seen.load() % 100)};
    const auto next = client_.wait("w", version, seconds(20), options);
    ASSERT_TRUE(next);
    version = next->version();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(kVersions / 4));
  writer.join();
}

TEST_F(WaitSpin, EndsWithATimeoutThatIsShorter) {
  EXPECT_FALSE(client_.wait("never", 0, milliseconds(5), kLong));
  EXPECT_FALSE(client_.wait("never", 0, milliseconds(0), kLong));
  EXPECT_FALSE(client_.wait_bundle("never", 0, milliseconds(5), kLong));
}

// What others do to the word must not keep it from looking at the clock.
TEST_F(WaitSpin, EndsWithTheTimeoutThoughTheWordChangesAllTheTime) {
  const Client::Impl::Use connection(*client_.impl());
  const std::string segment = connection->current().catalog().segment().name();
  const std::uint64_t id = parse_segment_name(broker_.at().name(), segment)->id;
  const Catalog catalog = Catalog::open(broker_.at().name(), id, Access::kReadWrite);
  std::atomic<bool> done = false;
  std::thread others([&] {
    while (!done) catalog.wait_word(hash_name("never")).fetch_add(1);
  });
  EXPECT_FALSE(client_.wait("never", 0, milliseconds(20), kLong));
  done = true;
  others.join();
}

TEST_F(WaitSpin, ClosingTheClientEndsIt) {
  std::string message;
  std::thread waiter(
      [&] { message = refusal<ClosedError>([&] { client_.wait_object("w", 0, {}, [this] { ++looks_; }, kLong); }); });
  EXPECT_TRUE(test::eventually([&] { return looks_ > 0; }));
  client_.close();
  waiter.join();
  EXPECT_NE(message.find("closed"), std::string::npos);
}

TEST_F(WaitSpin, TheInterruptCheckMayEndIt) {
  struct Interrupted {};
  EXPECT_THROW(client_.wait_object("w", 0, {}, [] { throw Interrupted(); }, kLong), Interrupted);
}

TEST_F(WaitSpin, OutlivesAKilledBroker) {
  std::optional<Tensor> got;
  std::thread waiter = wait_in_thread(&got, kLong);
  broker_.end(SIGKILL);
  broker_.start();
  client_.put("w", counting({1}, 5));
  waiter.join();
  EXPECT_EQ(values(*got), std::vector<float>{5});
}

TEST_F(WaitSpin, GoesOnInTheNextInstance) {
  std::optional<Tensor> got;
  std::thread waiter = wait_in_thread(&got, kLong);
  broker_.end(SIGTERM);
  broker_.start();
  broker_.connect().put("w", counting({1}, 6));
  waiter.join();
  EXPECT_EQ(values(*got), std::vector<float>{6});
}

TEST_F(WaitSpin, RefusesWhatIsNoTime) {
  client_.put("w", counting({1}));
  for (const double spin : {-1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    const std::string message =
        refusal<InvalidArgumentError>([&] { client_.wait("w", 0, {}, {.spin = std::chrono::duration<double>(spin)}); });
    EXPECT_NE(message.find("spin must be finite seconds from 0 up"), std::string::npos) << spin;
    EXPECT_NE(message.find(std::to_string(spin)), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace tensorbroker
