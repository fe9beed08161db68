#include "tests/model/explorer.h"

#include <ucontext.h>

#include <algorithm>
#include <deque>
#include <stdexcept>

namespace tensorbroker::model {
namespace {

constexpr std::size_t kStackBytes = 64 * 1024;

// A point of a schedule at which more than one fiber could go on.
struct Choice {
  std::vector<std::size_t> options;  // fibers, the one that would go on anyway first
  std::size_t taken = 0;             // index into options
};

// Stores in the order in which they were made.
using Buffer = std::deque<std::pair<Word*, std::uint64_t>>;

void let_out(Buffer& buffer) {
  const auto [word, value] = buffer.front();
  buffer.pop_front();
  word->set(value);
}

struct Fiber {
  Buffer buffer;
  int stores_left = -1;  // below 0: for ever
  ucontext_t context{};
  std::unique_ptr<char[]> stack;
  bool done = false;
};

// One run along one schedule: replays the choices that it is given, then takes the first option at each new one.
class Run {
 public:
  Run(Program& program, std::vector<Choice>& choices, const Limits& limits)
      : program_(program), choices_(choices), memory_(limits.memory), preemptions_left_(limits.preemptions) {}

  void go();
  void yield();
  bool has_buffers() const { return memory_ == Memory::kStoreBuffers; }
  Buffer& own_buffer() { return fibers_[current_].buffer; }
  int& own_stores_left() { return fibers_[current_].stores_left; }

 private:
  static void enter();
  static void prepare(Fiber& fiber);
  std::size_t choose(std::size_t current);
  void switch_to(std::size_t fiber);

  Program& program_;
  std::vector<Choice>& choices_;
  Memory memory_;
  int preemptions_left_;
  std::size_t position_ = 0;
  std::size_t current_ = 0;
  bool started_ = false;
  std::vector<Fiber> fibers_;
  ucontext_t main_{};
  std::string violation_;
};

Run* running = nullptr;
bool inside_fiber = false;

void Run::enter() {
  Run& run = *running;
  try {
    run.program_.fibers[run.current_]();
    detail::drain_buffer();
  } catch (const Violation& violation) {
    run.violation_ = violation.what;
  }
  run.fibers_[run.current_].done = true;
  inside_fiber = false;
  swapcontext(&run.fibers_[run.current_].context, &run.main_);
}

// Which fiber goes on, where `current` is the one that ran last (or any, if that one is done); beyond the fibers, by so
// much, the one whose oldest buffered store is let out.
std::size_t Run::choose(std::size_t current) {
  std::vector<std::size_t> options;
  const bool can_go_on = started_ && !fibers_[current].done;
  started_ = true;
  if (can_go_on) options.push_back(current);
  if (!can_go_on || preemptions_left_ > 0) {
    for (std::size_t i = 0; i < fibers_.size(); ++i) {
      if (!fibers_[i].done && !(can_go_on && i == current)) options.push_back(i);
    }
  }
  for (std::size_t i = 0; i < fibers_.size() && preemptions_left_ > 0; ++i) {
    if (!fibers_[i].buffer.empty()) options.push_back(fibers_.size() + i);
  }
  if (options.size() > 1) {
    if (position_ == choices_.size()) choices_.push_back({options, 0});
    const Choice& choice = choices_[position_++];
    const std::size_t next = choice.options[choice.taken];
    if (next >= fibers_.size() || (can_go_on && next != current)) --preemptions_left_;
    return next;
  }
  return options.front();
}

void Run::switch_to(std::size_t fiber) {
  current_ = fiber;
  inside_fiber = true;
  swapcontext(&main_, &fibers_[fiber].context);
  inside_fiber = false;
}

void Run::yield() {
  inside_fiber = false;
  swapcontext(&fibers_[current_].context, &main_);
  inside_fiber = true;
}

// Not inlined: the compiler fears for the locals of a function that getcontext() may return to twice.
[[gnu::noinline]] void Run::prepare(Fiber& fiber) {
  fiber.stack = std::make_unique_for_overwrite<char[]>(kStackBytes);
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = kStackBytes;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, &Run::enter, 0);
}

void Run::go() {
  running = this;
  fibers_.resize(program_.fibers.size());
  for (Fiber& fiber : fibers_) prepare(fiber);
  const auto unfinished = [&] {
    return std::any_of(fibers_.begin(), fibers_.end(), [](const Fiber& fiber) { return !fiber.done; });
  };
  // A violation ends the schedule; the other fibers' stacks hold nothing that needs unwinding.
  while (violation_.empty() && unfinished()) {
    const std::size_t next = choose(current_);
    if (next < fibers_.size()) {
      switch_to(next);
    } else {
      let_out(fibers_[next - fibers_.size()].buffer);
    }
  }
  if (violation_.empty() && program_.at_end) program_.at_end();
  if (!violation_.empty()) throw Violation{violation_};
}

// Turns to the next schedule: the last choice that has an option left takes it. False when none has.
bool advance(std::vector<Choice>& choices) {
  while (!choices.empty() && choices.back().taken + 1 == choices.back().options.size()) choices.pop_back();
  if (choices.empty()) return false;
  ++choices.back().taken;
  return true;
}

}  // namespace

void scheduling_point() {
  if (inside_fiber) running->yield();
}

void report(const std::string& what) { throw Violation{what}; }

namespace detail {

bool buffer_store(Word& word, std::uint64_t value) {
  if (!inside_fiber || !running->has_buffers()) return false;
  running->own_buffer().emplace_back(&word, value);
  return true;
}

const std::uint64_t* buffered(const Word& word) {
  if (!inside_fiber || !running->has_buffers()) return nullptr;
  const Buffer& buffer = running->own_buffer();
  const auto newest =
      std::find_if(buffer.rbegin(), buffer.rend(), [&word](const auto& made) { return made.first == &word; });
  return newest != buffer.rend() ? &newest->second : nullptr;
}

void drain_buffer() {
  if (!inside_fiber) return;
  while (!running->own_buffer().empty()) let_out(running->own_buffer());
}

void count_store() {
  if (!inside_fiber || running->own_stores_left() < 0) return;
  if (running->own_stores_left() == 0) {
    drain_buffer();
    throw Killed{};
  }
  --running->own_stores_left();
}

}  // namespace detail

void kill_after(int stores) { running->own_stores_left() = stores; }
void live_on() { running->own_stores_left() = -1; }

Exploration explore(const std::function<Program()>& make, const Limits& limits) {
  Exploration result;
  std::vector<Choice> choices;
  do {
    if (result.schedules == limits.schedules) return result;
    ++result.schedules;
    Program program = make();
    try {
      Run(program, choices, limits).go();
    } catch (const Violation& violation) {
      if (std::find(result.violations.begin(), result.violations.end(), violation.what) == result.violations.end()) {
        result.violations.push_back(violation.what);
      }
      if (limits.until_violation) return result;
    }
  } while (advance(choices));
  result.complete = true;
  return result;
}

}  // namespace tensorbroker::model
