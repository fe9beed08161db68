// What the broker's loop has waiting: the simulation runs it one at a time, in any order that the clock allows.

#ifndef TENSORBROKER_TESTS_SIMULATION_LOOP_H_
#define TENSORBROKER_TESTS_SIMULATION_LOOP_H_

#include <cstdint>
#include <functional>
#include <map>

#include "broker/page_jobs.h"
#include "tests/simulation/random.h"

namespace tensorbroker::simulation {

// Of the one EventLoop there is; empty where there is none.
class LoopWork {
 public:
  static LoopWork& get();

  std::uint64_t add_task(std::function<void()> task);
  std::uint64_t add_timer(std::uint64_t due_ns, std::function<void()> task);
  std::uint64_t add_watch(int fd, std::function<void()> task);
  void cancel(std::uint64_t id) { waiting_.erase(id); }
  void clear() { waiting_.clear(); }

  bool has_tasks() const;
  bool has_timers() const;
  // Runs one that is due; false where none is. Posted tasks keep their order.
  bool run_one(Random& random);

 private:
  enum class Kind { kTask, kTimer, kWatch };
  struct Waiting {
    Kind kind = Kind::kTask;
    std::uint64_t due_ns = 0;
    int fd = -1;
    std::function<void()> task;
  };

  std::uint64_t add(Waiting waiting);
  bool has(Kind kind) const;
  bool is_due(const Waiting& waiting) const;

  std::map<std::uint64_t, Waiting> waiting_;
  std::uint64_t last_id_ = 0;
};

// The jobs of the one PageWorker there is, or null.
broker::PageJobs* page_jobs();

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_LOOP_H_
