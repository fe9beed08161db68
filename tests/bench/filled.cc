#include "tests/bench/filled.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <vector>

#include "tests/bench/timing.h"

namespace tensorbroker::bench {

std::string filled_name(std::int64_t i) {
  const std::string digits = std::to_string(i);
  return "many/" + std::string(7 - digits.size(), '0') + digits;
}

Filled::Filled(std::int64_t names) : instance_("filled-" + std::to_string(names), 1ULL << 30) {}

void Filled::put(std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(end - begin));
  std::iota(values.begin(), values.end(), begin);
  std::vector<Bundle::Member> tensors;
  for (std::int64_t& value : values) tensors.emplace_back(filled_name(value), from_blob(&value, {1}, kInt64));
  instance_.client().put_many(tensors);
}

void Filled::fill(std::int64_t names) {
  constexpr std::int64_t kAtOnce = 1000;
  for (std::size_t tenth = 0; tenth < rates_.size(); ++tenth) {
    const auto number = static_cast<std::int64_t>(tenth);
    const std::int64_t end = names * (number + 1) / 10;
    const std::int64_t taken = timed([&] {
      for (std::int64_t i = names * number / 10; i < end; i += kAtOnce) put(i, std::min(i + kAtOnce, end));
    });
    rates_[tenth] = static_cast<double>(names) / 10 / (static_cast<double>(taken) * 1e-9);
  }
}

Filled& filled_with(std::int64_t names, const std::function<void(const ConnectOptions&)>& before) {
  static std::map<std::int64_t, std::unique_ptr<Filled>> all;
  std::unique_ptr<Filled>& filled = all[names];
  if (!filled) {
    filled = std::make_unique<Filled>(names);
    if (before) before(filled->instance().options());
    filled->fill(names);
  }
  return *filled;
}

}  // namespace tensorbroker::bench
