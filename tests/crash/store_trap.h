// Counts the stores that a process makes to the shared memory of one instance, one machine instruction at a time, and
// ends the process by SIGKILL right after the n-th.
//
// Every writable mapping of the instance's segments is write-protected. A store faults; the handler makes its page
// writable, lets that one instruction run (the processor's trap flag), protects the page again and counts. So no store
// is missed, whatever code makes it. The calls that make, lengthen, reserve, punch or remove segments count as stores
// too, once they have returned (wrapped_calls.cc). Mappings made later are protected as they are made. x86-64 only.

#ifndef TENSORBROKER_TESTS_CRASH_STORE_TRAP_H_
#define TENSORBROKER_TESTS_CRASH_STORE_TRAP_H_

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace tensorbroker::crash {

#ifdef __x86_64__
inline constexpr bool kHaveStoreTrap = true;
#else
inline constexpr bool kHaveStoreTrap = false;
#endif

// What the trapped process and the one that watches it share. Made before the fork.
class Tally {
 public:
  static constexpr std::size_t kPlaces = 1 << 18;

  struct Shared {
    std::atomic<bool> counting;
    std::atomic<std::uint64_t> limit;  // the store that is the last one; 0: none is
    std::atomic<std::uint64_t> stores;
    std::atomic<pid_t> only;                                  // the process whose stores count; 0: all that are trapped
    std::atomic<pid_t> spared;                                // the process whose stores do not
    std::array<std::atomic<std::uintptr_t>, kPlaces> places;  // of the instruction that made each store
  };

  Tally();
  ~Tally();
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;

  // Counts from 0 again. `limit` as in Shared.
  void start(std::uint64_t limit) noexcept;
  void stop() noexcept { shared_->counting.store(false); }
  std::uint64_t stores() const noexcept { return shared_->stores.load(); }
  // Whether the last store was made, and a process killed for it.
  bool limit_reached() const noexcept { return shared_->limit.load() != 0 && stores() >= shared_->limit.load(); }
  Shared& shared() const noexcept { return *shared_; }

 private:
  Shared* shared_;
};

// Traps the stores of this process, and of those that it forks, to the segments whose names begin with `prefix`. Until
// its end. Throws std::runtime_error where the system does not let it.
void trap_stores(const std::string& prefix, const Tally& tally);

namespace detail {

bool is_trapping() noexcept;
bool names_trapped_segment(const char* path) noexcept;
bool is_trapped_segment(int fd) noexcept;
// A writable shared mapping of a trapped segment came to be.
void protect(void* address, std::size_t bytes) noexcept;
// A mapping, of whatever it is, moved with its protection.
void moved(void* from, void* to, std::size_t bytes) noexcept;
// A store was made; `place` says where.
void count_store(std::uintptr_t place) noexcept;

}  // namespace detail

}  // namespace tensorbroker::crash

#endif  // TENSORBROKER_TESTS_CRASH_STORE_TRAP_H_
