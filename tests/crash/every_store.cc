#include "tests/crash/every_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>

namespace tensorbroker::crash {
namespace {

constexpr std::size_t kMany = 32;    // stores by one instruction: a loop
constexpr std::size_t kAtEnds = 3;   // of those, taken at either end
constexpr std::size_t kBetween = 6;  // and so many of the rest
constexpr int kThrew = 3;

[[noreturn]] void do_trapped(const std::string& prefix, Tally& tally, const std::function<void()>& operation) {
  try {
    trap_stores(prefix, tally);
    operation();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "in the trapped process: %s\n", e.what());
    _exit(kThrew);
  }
  _exit(0);
}

bool is_taken(std::size_t nth, std::size_t of) {
  if (of <= kMany || nth < kAtEnds || nth + kAtEnds >= of) return true;
  return nth % (of / kBetween) == 0;
}

}  // namespace

Outcome in_trapped_process(const std::string& prefix, Tally& tally, std::uint64_t limit,
                           const std::function<void()>& operation) {
  tally.start(limit);
  const pid_t child = fork();
  if (child == 0) do_trapped(prefix, tally, operation);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  tally.stop();
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return Outcome::kKilled;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
      << "it ended with status " << status << " after " << tally.stores() << " stores";
  return Outcome::kWhole;
}

std::vector<std::uint64_t> stores_to_die_after(const Tally& tally) {
  const std::uint64_t stores = std::min<std::uint64_t>(tally.stores(), Tally::kPlaces);
  const auto& places = tally.shared().places;
  std::map<std::uintptr_t, std::size_t> total;
  for (std::uint64_t i = 0; i < stores; ++i) ++total[places[i].load()];
  const bool all = std::getenv("TENSORBROKER_TEST_EVERY_STORE") != nullptr;
  std::map<std::uintptr_t, std::size_t> seen;
  std::vector<std::uint64_t> taken;
  for (std::uint64_t i = 0; i < stores; ++i) {
    const std::uintptr_t place = places[i].load();
    if (all || is_taken(seen[place]++, total[place])) taken.push_back(i + 1);
  }
  return taken;
}

void kill_after_each_store(const Tally& tally, const std::string& whom, std::size_t least_percent,
                           const std::function<bool(std::uint64_t limit)>& run) {
  run(0);
  const std::uint64_t stores = tally.stores();
  ASSERT_GT(stores, 0u);
  const std::vector<std::uint64_t> last = stores_to_die_after(tally);
  std::size_t killed = 0;
  for (const std::uint64_t n : last) {
    SCOPED_TRACE("killed after store " + std::to_string(n) + " of " + std::to_string(stores));
    killed += run(n) ? 1 : 0;
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GE(killed * 100, last.size() * least_percent) << "of " << last.size();
  std::cout << "[ killed   ] " << killed << " " << whom << ", after each of " << last.size() << " of " << stores
            << " stores\n";
}

}  // namespace tensorbroker::crash
