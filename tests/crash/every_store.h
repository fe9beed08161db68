// Does something in a process of its own that ends right after its n-th store to shared memory, for every n.

#ifndef TENSORBROKER_TESTS_CRASH_EVERY_STORE_H_
#define TENSORBROKER_TESTS_CRASH_EVERY_STORE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/crash/store_trap.h"

namespace tensorbroker::crash {

enum class Outcome { kWhole, kKilled };

// Forks; the child does `operation` with its stores to the segments of `prefix` trapped, and is killed after store
// number `limit` (0: never). Where it throws, or ends otherwise, the test fails.
Outcome in_trapped_process(const std::string& prefix, Tally& tally, std::uint64_t limit,
                           const std::function<void()>& operation);

// The stores after which to kill, by what a whole run counted: all of them; of the hundreds that one instruction made,
// in a loop that clears or copies, the first and last ones and some between, unless TENSORBROKER_TEST_EVERY_STORE is
// set.
std::vector<std::uint64_t> stores_to_die_after(const Tally& tally);

// Does `run` whole, with limit 0, and then once for each of those, as the limit. It returns whether `whom` was killed;
// of a hundred runs so many must be, since the last stores may come when nothing waits for them any more.
void kill_after_each_store(const Tally& tally, const std::string& whom, std::size_t least_percent,
                           const std::function<bool(std::uint64_t limit)>& run);

}  // namespace tensorbroker::crash

#endif  // TENSORBROKER_TESTS_CRASH_EVERY_STORE_H_
