#include "client/sequences.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstring>
#include <string>

#include "client/element.h"
#include "client/scalar.h"
#include "client/strided.h"
#include "proto/geometry.h"

namespace tensorbroker {
namespace {

bool is_integral(DType dtype) {
  const DTypeKind kind = info(dtype).kind;
  return kind == DTypeKind::kSigned || kind == DTypeKind::kUnsigned;
}

// The number as an element of `dtype`. Throws as fill_ does where it does not fit.
Scalar as_element(const Scalar& value, DType dtype) {
  std::array<std::byte, 16> element{};
  store(element.data(), dtype, value);
  check_range(dtype, value);
  return load(element.data(), dtype);
}

std::int64_t as_int64(const Scalar& value) { return std::get<std::int64_t>(as_element(value, kInt64)); }

// Python's text of a bound.
std::string text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string digits = std::to_string(value);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.ends_with('.')) digits.pop_back();
  return digits;
}

// Writes `count` elements, `wide(i)` each, by way of a buffer of the wide dtype.
template <DType kWide, class Wide, class Make>
void write_elements(DType dtype, std::byte* data, std::int64_t count, Make&& make) {
  constexpr std::int64_t kChunk = 1024;
  std::array<Wide, kChunk> buffer;
  for (std::int64_t done = 0; done < count; done += kChunk) {
    const std::int64_t now = std::min(kChunk, count - done);
    for (std::int64_t i = 0; i < now; ++i) buffer[static_cast<std::size_t>(i)] = make(done + i);
    const Geometry chunk{{now}, {1}, 0};
    copy_convert(chunk, dtype, data + done * static_cast<std::int64_t>(itemsize(dtype)), chunk, kWide,
                 reinterpret_cast<const std::byte*>(buffer.data()));
  }
}

// The number of steps of an int64 range, whose bounds are cut off first.
double count_int64(const Range& range) {
  const std::int64_t start = as_int64(range.start);
  const std::int64_t end = as_int64(range.end);
  const std::int64_t step = as_int64(range.step);
  if (step == 0) throw InvalidArgumentError("step must be nonzero");
  const auto distance = static_cast<__int128>(end) - start;
  const __int128 away = step > 0 ? 1 : -1;
  const __int128 steps = (distance + step - away) / step;
  if (steps > std::numeric_limits<std::int64_t>::max()) throw RuntimeError("invalid size, possible overflow?");
  return static_cast<double>(steps);
}

}  // namespace

std::int64_t arange_size(const Range& range, DType dtype) {
  const double start = to_double(range.start);
  const double end = to_double(range.end);
  const double step = to_double(range.step);
  if (!(step > 0 || step < 0)) throw RuntimeError("step must be nonzero");
  if (!std::isfinite(start) || !std::isfinite(end)) {
    throw RuntimeError("unsupported range: " + text(start) + " -> " + text(end));
  }
  if (step > 0 ? end < start : end > start) {
    throw RuntimeError("upper bound and lower bound inconsistent with step sign");
  }
  const double count = dtype == kInt64 ? count_int64(range) : std::ceil((end - start) / step);
  constexpr double kMost = static_cast<double>(std::numeric_limits<std::int64_t>::max());
  if (!(count >= 0 && count < kMost)) throw RuntimeError("invalid size, possible overflow?");
  return static_cast<std::int64_t>(count);
}

void write_arange(const Range& range, DType dtype, std::byte* data, std::int64_t count) {
  if (is_integral(dtype)) {
    const auto start = static_cast<std::uint64_t>(as_int64(range.start));
    const auto step = static_cast<std::uint64_t>(as_int64(range.step));
    write_elements<kInt64, std::int64_t>(dtype, data, count, [=](std::int64_t i) {
      return static_cast<std::int64_t>(start + step * static_cast<std::uint64_t>(i));
    });
    return;
  }
  const double start = to_double(range.start);
  const double step = to_double(range.step);
  write_elements<kFloat64, double>(dtype, data, count,
                                   [=](std::int64_t i) { return start + step * static_cast<double>(i); });
}

void write_linspace(const Scalar& start, const Scalar& end, DType dtype, std::byte* data, std::int64_t count) {
  if (count == 1) return fill(Geometry{{1}, {1}, 0}, dtype, data, start);
  const Scalar from = as_element(start, dtype);
  const Scalar to = as_element(end, dtype);
  const auto write = [&]<DType kWide, class Wide>(Wide first, Wide last) {
    const Wide step = (last - first) / Wide(static_cast<double>(count - 1));
    const std::int64_t half = count / 2;
    // From both ends towards the middle, so that it is symmetrical.
    write_elements<kWide, Wide>(dtype, data, count, [=](std::int64_t i) {
      if (i < half) return first + step * Wide(static_cast<double>(i));
      return last - step * Wide(static_cast<double>(count - 1 - i));
    });
  };
  if (info(dtype).kind == DTypeKind::kComplex) {
    const auto complex = [](const Scalar& value) { return std::get<std::complex<double>>(value); };
    write.template operator()<kComplex128>(complex(from), complex(to));
  } else {
    write.template operator()<kFloat64>(to_double(from), to_double(to));
  }
}

void write_eye(std::int64_t rows, std::int64_t columns, DType dtype, std::byte* data) {
  std::array<std::byte, 16> zero{};
  std::array<std::byte, 16> one{};
  store_cast(zero.data(), dtype, false);
  store_cast(one.data(), dtype, true);
  const std::size_t item = itemsize(dtype);
  const Geometry all = contiguous_geometry(Dims{rows, columns});
  copy_strided(all, data, {all.sizes, {0, 0}, 0}, zero.data(), item);
  for (std::int64_t i = 0; i < std::min(rows, columns); ++i) {
    std::memcpy(data + static_cast<std::size_t>(i * (columns + 1)) * item, one.data(), item);
  }
}

}  // namespace tensorbroker
