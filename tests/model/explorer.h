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

// What the machine does with a store that is not seq_cst. kStoreBuffers: it stays with the fiber that made it, which
// alone sees it, until that one's next seq_cst store or exchange or its end, or until the schedule lets it out.
enum class Memory { kSequential, kStoreBuffers };

class Word;

namespace detail {

// Takes a store into the running fiber's buffer; false where there are none.
bool buffer_store(Word& word, std::uint64_t value);
// The newest buffered store of the running fiber to this word; null for none.
const std::uint64_t* buffered(const Word& word);
// Lets out all stores of the running fiber.
void drain_buffer();
// The running fiber is about to store: where it has no store left, all is let out and Killed thrown.
void count_store();

}  // namespace detail

// A word of shared memory. Same members as std::atomic<std::uint64_t>, as far as the protocols use them.
class Word {
 public:
  Word() = default;
  explicit Word(std::uint64_t value) : value_(value) {}

  std::uint64_t load(std::memory_order = std::memory_order_seq_cst) const {
    if (!shared_) return value_;
    scheduling_point();
    const std::uint64_t* const own = detail::buffered(*this);
    return own != nullptr ? *own : value_;
  }
  void store(std::uint64_t value, std::memory_order order = std::memory_order_seq_cst) {
    if (order == std::memory_order_seq_cst || !shared_) {
      exchange(value);
      return;
    }
    scheduling_point();
    detail::count_store();
    if (!detail::buffer_store(*this, value)) set(value);
  }
  std::uint64_t exchange(std::uint64_t value, std::memory_order = std::memory_order_seq_cst) {
    if (shared_) scheduling_point();
    detail::count_store();
    if (shared_) detail::drain_buffer();
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

// Ends the running fiber's process by an exception, Killed, in place of the store after so many.
struct Killed {};
void kill_after(int stores);
void live_on();

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

struct Limits {
  int preemptions = 2;  // switches away from a fiber that could go on, and stores let out of buffers
  Memory memory = Memory::kSequential;
  bool until_violation = false;  // stops, incomplete, at the first one
  std::size_t schedules = 2'000'000;
};

// Explores `make()`'s program within these limits.
Exploration explore(const std::function<Program()>& make, const Limits& limits);

}  // namespace tensorbroker::model

#endif  // TENSORBROKER_TESTS_MODEL_EXPLORER_H_
