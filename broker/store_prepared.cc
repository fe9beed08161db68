// The pages that have memory though they are nobody's: what is prepared ahead of demand, and what was given back.

#include <algorithm>
#include <utility>

#include "broker/state.h"
#include "broker/store.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kPart = 4;  // of the capacity: what is given back stays warm up to so much

}  // namespace

std::uint64_t Store::State::warm_bound() const {
  return cooling ? 0 : std::max(options.capacity / kPart, options.prepared);
}

// Takes so many bytes from the warm pages, and where they are too few what is being prepared: the caller has it
// punched.
std::vector<Range> Store::State::give_up_warm(std::uint64_t bytes) {
  const std::uint64_t warm = pool.warm_bytes();
  std::vector<Range> given_up = pool.trim(bytes);
  if (bytes > warm && !preparing.empty()) given_up.push_back(std::exchange(preparing, {}));
  return given_up;
}

Range Store::take_prepare_work(std::uint64_t limit) {
  State& s = *state_;
  const std::uint64_t ready = s.pool.longest_warm();
  const std::uint64_t unused = s.options.capacity - std::min(s.used, s.options.capacity);
  const std::uint64_t most = std::min(s.warm_bound(), unused);
  if (s.closed || !s.preparing.empty() || ready >= s.options.prepared || s.pool.warm_bytes() >= most) return {};
  // As with punching: never all that is free.
  const std::uint64_t bytes =
      std::min({limit, s.options.prepared - ready, most - s.pool.warm_bytes(), s.pool.free_bytes() / 2});
  if (bytes < kPageSize) return {};
  return s.preparing = s.pool.take_cold(bytes / kPageSize * kPageSize);
}

void Store::prepared(const Range& range, int error) {
  State& s = *state_;
  if (s.preparing != range) return;
  s.preparing = {};
  s.pool.give(range, error == 0 ? Warmth::kWarm : Warmth::kCold);
  if (error == 0) s.counted.prepared_bytes += range.bytes;
}

void Store::cool() noexcept { state_->cooling = true; }
std::uint64_t Store::warm_bytes() const noexcept { return state_->pool.warm_bytes(); }
bool Store::has_sessions() const noexcept { return !state_->sessions.empty(); }
std::uint64_t Store::grants() const noexcept { return state_->grants_begun + state_->counted.grants; }

}  // namespace tensorbroker::broker
