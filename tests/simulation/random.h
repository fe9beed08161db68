// A small generator whose whole state is its seed: the same seed gives the same run on every machine.

#ifndef TENSORBROKER_TESTS_SIMULATION_RANDOM_H_
#define TENSORBROKER_TESTS_SIMULATION_RANDOM_H_

#include <cstddef>
#include <cstdint>

namespace tensorbroker::simulation {

// SplitMix64.
constexpr std::uint64_t mix(std::uint64_t n) {
  n += 0x9e3779b97f4a7c15ULL;
  n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9ULL;
  n = (n ^ n >> 27) * 0x94d049bb133111ebULL;
  return n ^ n >> 31;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() { return mix(state_++); }
  // REQUIRES: n > 0.
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  template <class Container>
  auto& pick(Container& from) {
    return from[static_cast<std::size_t>(below(from.size()))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_RANDOM_H_
