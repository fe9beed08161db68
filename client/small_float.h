// The floats of 16 and 8 bits as bit patterns: to float32, exactly, and from float32, rounded to nearest even.
//
// What does not fit becomes what torch 2.13 makes of it: an infinity where the format has one, the largest value in
// float8_e4m3fn, NaN in the fnuz formats and in e8m0fnu (whose sign is dropped: it holds powers of two only).
// Pure functions, safe from any thread.

#ifndef TENSORBROKER_CLIENT_SMALL_FLOAT_H_
#define TENSORBROKER_CLIENT_SMALL_FLOAT_H_

#include <bit>
#include <cstdint>
#include <limits>

namespace tensorbroker {

enum class Overflow : std::uint8_t { kInfinity, kSaturate, kNan };

// Sign, exponent and mantissa, from the top. With Overflow::kInfinity the top exponent means infinity and NaN, as in
// IEEE 754; else `nan` is the only NaN (kNan, the fnuz formats: in the place of -0).
template <class BitsType, int kExponentBits, int kMantissaBits, int kBias, Overflow kOverflow, BitsType kNan>
struct SmallFloat {
  using Bits = BitsType;
  static constexpr std::uint32_t kSign = 1u << (kExponentBits + kMantissaBits);
  static constexpr std::uint32_t kTop = ((1u << kExponentBits) - 1) << kMantissaBits;
  static constexpr std::uint32_t kLargest = kOverflow == Overflow::kInfinity   ? kTop - 1
                                            : kOverflow == Overflow::kSaturate ? kSign - 2
                                                                               : kSign - 1;

  static float decode(Bits bits) noexcept {
    const std::uint32_t magnitude = bits & (kSign - 1);
    const std::uint32_t sign = (bits & kSign) != 0 ? 0x80000000u : 0;
    if (kOverflow == Overflow::kNan ? bits == kNan : kOverflow == Overflow::kSaturate && magnitude == (kNan & ~kSign)) {
      return std::numeric_limits<float>::quiet_NaN();
    }
    const std::uint32_t mantissa = magnitude & ((1u << kMantissaBits) - 1);
    if (kOverflow == Overflow::kInfinity && magnitude >= kTop) {
      return std::bit_cast<float>(sign | 0x7f800000u | mantissa << (23 - kMantissaBits));
    }
    const std::uint32_t exponent = magnitude >> kMantissaBits;
    if (exponent == 0) {
      const float value = static_cast<float>(mantissa) * kSmallest;
      return sign != 0 ? -value : value;
    }
    return std::bit_cast<float>(sign | (exponent + (127 - kBias)) << 23 | mantissa << (23 - kMantissaBits));
  }

  static float largest() noexcept { return decode(static_cast<Bits>(kLargest)); }
  static float lowest() noexcept { return -largest(); }

  static Bits encode(float value) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 31 != 0 ? kSign : 0;
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<Bits>(kOverflow == Overflow::kNan ? kNan : kNan | sign);
    const std::uint32_t rounded = round(magnitude);
    if (rounded <= kLargest) {
      if (kOverflow == Overflow::kNan && rounded == 0) return 0;
      return static_cast<Bits>(rounded | sign);
    }
    if (kOverflow == Overflow::kNan) return kNan;
    return static_cast<Bits>((kOverflow == Overflow::kInfinity ? kTop : kLargest) | sign);
  }

 private:
  // The value of the lowest bit of a subnormal: 2^(1 - bias - mantissa bits).
  static constexpr float kSmallest = [] {
    float value = 1;
    for (int i = 0; i < kBias - 1 + kMantissaBits; ++i) value /= 2;
    return value;
  }();

  // Exponent and mantissa of the nearest value, ties to even; above kLargest on overflow.
  static std::uint32_t round(std::uint32_t magnitude) noexcept {
    const int biased = static_cast<int>(magnitude >> 23);
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | (biased > 0 ? 0x800000u : 0);
    const int exponent = (biased > 0 ? biased : 1) - 127;
    constexpr int kLowest = 1 - kBias;
    const int shift = 23 - kMantissaBits + (exponent < kLowest ? kLowest - exponent : 0);
    if (shift > 24) return 0;
    const std::uint32_t rest = mantissa & ((1u << shift) - 1);
    const std::uint32_t half = 1u << (shift - 1);
    std::uint32_t kept = mantissa >> shift;
    if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
    // A carry out of the mantissa raises the exponent, as it should.
    if (exponent <= kLowest) return kept;
    return (static_cast<std::uint32_t>(exponent - kLowest) << kMantissaBits) + kept;
  }
};

using Float16 = SmallFloat<std::uint16_t, 5, 10, 15, Overflow::kInfinity, 0x7e00>;
using BFloat16 = SmallFloat<std::uint16_t, 8, 7, 127, Overflow::kInfinity, 0x7fc0>;
using Float8E4M3Fn = SmallFloat<std::uint8_t, 4, 3, 7, Overflow::kSaturate, 0x7f>;
using Float8E5M2 = SmallFloat<std::uint8_t, 5, 2, 15, Overflow::kInfinity, 0x7f>;
using Float8E4M3Fnuz = SmallFloat<std::uint8_t, 4, 3, 8, Overflow::kNan, 0x80>;
using Float8E5M2Fnuz = SmallFloat<std::uint8_t, 5, 2, 16, Overflow::kNan, 0x80>;

// An exponent and nothing else: 2^(bits - 127), and NaN.
struct Float8E8M0Fnu {
  using Bits = std::uint8_t;

  static float largest() noexcept { return decode(0xfe); }
  static float lowest() noexcept { return decode(0); }

  static float decode(Bits bits) noexcept {
    if (bits == 0xff) return std::numeric_limits<float>::quiet_NaN();
    return std::bit_cast<float>(bits == 0 ? 0x00400000u : static_cast<std::uint32_t>(bits) << 23);
  }

  static Bits encode(float value) noexcept {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t exponent = bits >> 23 & 0xff;
    const std::uint32_t mantissa = bits & 0x7fffffu;
    if (exponent == 0xff) return 0xff;
    // Half-way goes up, except below the smallest normal float32, where it goes down: torch's tie to even.
    const bool up = mantissa > 0x400000u || (mantissa == 0x400000u && exponent > 0);
    return static_cast<Bits>(exponent + (up ? 1 : 0));
  }
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_SMALL_FLOAT_H_
