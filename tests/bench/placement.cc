#include "tests/bench/placement.h"

#include <sched.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace tensorbroker::bench {
namespace {

void place(pid_t thread, int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  if (sched_setaffinity(thread, sizeof set, &set) != 0) throw std::runtime_error("cannot choose a processor");
}

}  // namespace

void sit_apart(pid_t other) {
  if (std::getenv("TENSORBROKER_BENCH_APART") == nullptr) return;
  static const std::vector<int> processors = [] {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> usable;
    sched_getaffinity(0, sizeof set, &set);
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(i, &set)) usable.push_back(i);
    }
    return usable;
  }();
  place(0, processors.front());
  for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(other) + "/task")) {
    place(std::stoi(thread.path().filename()), processors.back());
  }
}

}  // namespace tensorbroker::bench
