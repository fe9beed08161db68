// What the broker did that it must not do.

#ifndef TENSORBROKER_TESTS_SIMULATION_VIOLATION_H_
#define TENSORBROKER_TESTS_SIMULATION_VIOLATION_H_

#include <stdexcept>
#include <string>

namespace tensorbroker::simulation {

class Violation : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// `rule` says what holds in a sound broker; `about` which entry, session or name it is about.
inline void require(bool holds, const char* rule, std::uint64_t about = 0) {
  if (!holds) throw Violation("it does not hold that " + std::string(rule) + " (" + std::to_string(about) + ")");
}

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_VIOLATION_H_
