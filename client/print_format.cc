#include "client/print_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace tensorbroker {
namespace {

constexpr int kPrecision = 4;

// As C's "%.*f" and "%.*e", in any locale. Room for the longest double in fixed notation.
std::string digits(double value, std::chars_format notation, int precision) {
  // Python writes no sign before nan.
  if (std::isnan(value)) return "nan";
  std::array<char, std::numeric_limits<double>::max_exponent10 + kPrecision + 8> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, notation, precision);
  return std::string(buffer.data(), error == std::errc{} ? end : buffer.data());
}

}  // namespace

NumberFormat::NumberFormat(std::span<const double> values, Counted counted) {
  double smallest = std::numeric_limits<double>::infinity();
  double largest = 0;
  bool has_nan = false;
  const auto counts = [counted](double value) {
    return counted == Counted::kE8M0 ? value != 0x1p-127 : std::isfinite(value) && value != 0;
  };
  for (const double value : values) {
    if (!counts(value)) continue;
    has_nan = has_nan || std::isnan(value);
    smallest = std::min(smallest, std::abs(value));
    largest = std::max(largest, std::abs(value));
    integral_ = integral_ && value == std::ceil(value);
  }
  // A NaN that counts makes torch's range NaN, which is not wide.
  scientific_ = !has_nan && largest > 0 && (largest / smallest > 1000.0 || largest > 1.0e8 || smallest < 1.0e-4);
  for (const double value : values) {
    if (counts(value)) width_ = std::max(width_, number(value).size());
  }
}

NumberFormat::NumberFormat(std::span<const std::string> texts) {
  for (const std::string& text : texts) width_ = std::max(width_, text.size());
}

std::string NumberFormat::number(double value) const {
  if (scientific_) return digits(value, std::chars_format::scientific, kPrecision);
  if (!integral_) return digits(value, std::chars_format::fixed, kPrecision);
  return digits(value, std::chars_format::fixed, 0) + (std::isfinite(value) ? "." : "");
}

std::string NumberFormat::format(double value) const { return pad(number(value)); }

std::string NumberFormat::pad(std::string text) const {
  if (text.size() < width_) text.insert(0, width_ - text.size(), ' ');
  return text;
}

}  // namespace tensorbroker
