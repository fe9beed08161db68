// One input of a fuzz target, read as a row of choices, and what a target says when something is not as it must be.
//
// Behind the input's end every choice is 0, so that any bytes are a whole input. Not thread safe.

#ifndef TENSORBROKER_TESTS_FUZZ_CHOICES_H_
#define TENSORBROKER_TESTS_FUZZ_CHOICES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>

namespace tensorbroker::fuzz {

class Choices {
 public:
  Choices(const std::uint8_t* data, std::size_t size) : left_(reinterpret_cast<const std::byte*>(data), size) {}

  bool empty() const { return left_.empty(); }

  std::span<const std::byte> bytes(std::size_t count) {
    const auto taken = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  std::span<const std::byte> rest() { return bytes(left_.size()); }

  template <class Number>
  Number number() {
    Number value{};
    if (const auto taken = bytes(sizeof value); !taken.empty()) std::memcpy(&value, taken.data(), taken.size());
    return value;
  }
  std::uint8_t byte() { return number<std::uint8_t>(); }
  bool flag() { return (byte() & 1) != 0; }
  // REQUIRES: 0 < n <= 256.
  std::size_t below(std::size_t n) { return byte() % n; }

  // -128 to 127, as what is to be added.
  std::uint64_t signed_byte() { return static_cast<std::uint64_t>(std::int64_t{number<std::int8_t>()}); }

  // Mostly a small number or one at a boundary, sometimes any.
  std::uint64_t odd_number() {
    const std::uint8_t kind = byte();
    if (kind < 128) return kind;
    if (kind < 192) return (std::uint64_t{1} << (kind & 63)) + signed_byte();
    if (kind < 224) return std::uint64_t{byte()} * 64;
    if (kind < 240) return std::uint64_t{byte()} * 4096;
    return number<std::uint64_t>();
  }

  std::string_view text(std::size_t most) {
    const auto taken = bytes(std::min<std::size_t>(byte(), most));
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }

 private:
  std::span<const std::byte> left_;
};

// Ends the process, so that the fuzzer keeps the input.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "FUZZ: it does not hold that %s\n", what);
  std::abort();
}

}  // namespace tensorbroker::fuzz

// What libFuzzer calls, and replay.cc.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

#endif  // TENSORBROKER_TESTS_FUZZ_CHOICES_H_
