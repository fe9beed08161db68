// Runs small concurrent programs under every interleaving that has at most a given number of preemptions.
//
// The product's protocol templates run on model::Word instead of std::atomic: each access is a scheduling point. The
// explorer runs the program again and again, each time along another schedule, until none is left (stateless model
// checking with a preemption bound, as in Musuvathi and Qadeer, PLDI 2007). Interleavings are sequentially consistent,
// which is what the seq_cst operations of these protocols ask of the machine. Single-threaded: fibers, not threads.

#ifndef TENSORBROKER_TESTS_MODEL_EXPLORER_H_
#define TENSORBROKER_TESTS_MODEL_EXPLORER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tensorbroker::model {

// Lets another fiber go first, if the schedule says so. Outside of a fiber it does nothing.
void scheduling_point();

// A word of shared memory. Same members as std::atomic<std::uint64_t>, as far as the protocols use them.
class Word {
 public:
  Word() = default;
  explicit Word(std::uint64_t value) : value_(value) {}

  std::uint64_t load(std::memory_order = std::memory_order_seq_cst) const {
    if (shared_) scheduling_point();
    return value_;
  }
  void store(std::uint64_t value, std::memory_order = std::memory_order_seq_cst) { exchange(value); }
  std::uint64_t exchange(std::uint64_t value, std::memory_order = std::memory_order_seq_cst) {
    if (shared_) scheduling_point();
    return set(value);
  }

  // For the checks: looks and writes without being seen.
  std::uint64_t peek() const { return value_; }
  std::uint64_t set(std::uint64_t value) {
    const std::uint64_t before = std::exchange(value_, value);
    if (on_store_) on_store_();
    return before;
  }
  // Called right after each store, before any other fiber runs.
  void on_store(std::function<void()> callback) { on_store_ = std::move(callback); }
  // Only one fiber touches this word: its accesses are no scheduling points.
  void set_local() { shared_ = false; }

 private:
  std::uint64_t value_ = 0;
  bool shared_ = true;
  std::function<void()> on_store_;
};

// One run's world: the fibers to interleave, and a check for the end. Made afresh for each schedule.
struct Program {
  std::vector<std::function<void()>> fibers;
  std::function<void()> at_end;      // may report a violation
  std::shared_ptr<void> keep_alive;  // what the functions point to
};

// Thrown by report(): ends the schedule.
struct Violation {
  std::string what;
};
[[noreturn]] void report(const std::string& what);

struct Exploration {
  std::size_t schedules = 0;
  bool complete = false;                // every schedule within the bound was run
  std::vector<std::string> violations;  // distinct ones; exploration goes on after each
};

// Explores `make()`'s program with at most `preemptions` switches away from a fiber that could go on.
// Stops, incomplete, after `limit` schedules.
Exploration explore(const std::function<Program()>& make, int preemptions, std::size_t limit = 2'000'000);

}  // namespace tensorbroker::model

#endif  // TENSORBROKER_TESTS_MODEL_EXPLORER_H_
