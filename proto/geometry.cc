#include "proto/geometry.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

namespace tensorbroker {
namespace {

[[noreturn]] void throw_too_many_dims(std::size_t count) {
  throw InvalidArgumentError("a tensor has at most " + std::to_string(kMaxDims) + " dimensions, not " +
                             std::to_string(count) + ": merge some of them with reshape");
}

std::string text(std::span<const std::int64_t> values) {
  std::string result = "[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) result += ", ";
    result += std::to_string(values[i]);
  }
  return result + "]";
}

}  // namespace

Dims::Dims(std::initializer_list<std::int64_t> values)
    : Dims(std::span<const std::int64_t>(values.begin(), values.size())) {}

Dims::Dims(std::span<const std::int64_t> values) {
  if (values.size() > kMaxDims) throw_too_many_dims(values.size());
  if (values.size() > kInline) heap_ = std::make_unique<std::int64_t[]>(kMaxDims);
  size_ = values.size();
  std::copy(values.begin(), values.end(), data());
}

Dims::Dims(std::size_t count, std::int64_t value) {
  if (count > kMaxDims) throw_too_many_dims(count);
  if (count > kInline) heap_ = std::make_unique<std::int64_t[]>(kMaxDims);
  size_ = count;
  std::fill(begin(), end(), value);
}

Dims::Dims(const Dims& other) : Dims(std::span<const std::int64_t>(other)) {}

Dims& Dims::operator=(const Dims& other) {
  if (this != &other) *this = Dims(other);
  return *this;
}

Dims& Dims::operator=(Dims&& other) noexcept {
  if (this == &other) return *this;
  heap_ = std::move(other.heap_);
  size_ = std::exchange(other.size_, 0);
  std::copy(std::begin(other.inline_), std::end(other.inline_), std::begin(inline_));
  return *this;
}

void Dims::insert(std::size_t at, std::int64_t value) {
  if (size_ == kMaxDims) throw_too_many_dims(size_ + 1);
  if (size_ == kInline && !heap_) {
    heap_ = std::make_unique<std::int64_t[]>(kMaxDims);
    std::copy(std::begin(inline_), std::end(inline_), heap_.get());
  }
  ++size_;
  std::copy_backward(begin() + at, end() - 1, end());
  (*this)[at] = value;
}

void Dims::erase(std::size_t at) noexcept {
  std::copy(begin() + at + 1, end(), begin() + at);
  --size_;
}

std::string Dims::to_string() const { return text(*this); }

bool operator==(const Dims& a, const Dims& b) noexcept { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

namespace {

// The product of the sizes, those of 0 counting as 1, so that strides fit too.
std::int64_t checked_product(std::span<const std::int64_t> sizes, std::int64_t factor) {
  std::int64_t product = factor;
  for (const std::int64_t size : sizes) {
    if (size < 0) {
      throw RuntimeError("Trying to create tensor with negative dimension " + std::to_string(size) + ": " +
                         text(sizes));
    }
    if (__builtin_mul_overflow(product, std::max<std::int64_t>(size, 1), &product)) {
      throw RuntimeError("Storage size calculation overflowed with sizes=" + text(sizes) +
                         ": a tensor has at most 2^63 - 1 bytes");
    }
  }
  return product;
}

bool has_zero(std::span<const std::int64_t> sizes) noexcept {
  return std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
}

}  // namespace

std::int64_t checked_numel(std::span<const std::int64_t> sizes) {
  const std::int64_t product = checked_product(sizes, 1);
  return has_zero(sizes) ? 0 : product;
}

std::int64_t checked_nbytes(std::span<const std::int64_t> sizes, std::size_t itemsize) {
  const std::int64_t product = checked_product(sizes, static_cast<std::int64_t>(itemsize));
  return has_zero(sizes) ? 0 : product;
}

std::int64_t checked_reach(const Geometry& geometry, std::size_t itemsize) {
  if (checked_numel(geometry.sizes) == 0) return 0;
  std::int64_t elements = 1;
  std::int64_t bytes = 0;
  bool overflow = false;
  for (std::size_t d = 0; d < geometry.sizes.size(); ++d) {
    std::int64_t reach = 0;
    overflow |= __builtin_mul_overflow(geometry.sizes[d] - 1, geometry.strides[d], &reach);
    overflow |= __builtin_add_overflow(elements, reach, &elements);
  }
  overflow |= __builtin_mul_overflow(elements, static_cast<std::int64_t>(itemsize), &bytes);
  if (overflow) {
    throw RuntimeError("Storage size calculation overflowed with sizes=" + text(geometry.sizes) +
                       " and strides=" + text(geometry.strides) + ": a tensor has at most 2^63 - 1 bytes");
  }
  return bytes;
}

std::int64_t numel(const Geometry& geometry) noexcept {
  // Without this look for a 0, sizes such as (2^40, 2^40, 0) would overflow on the way.
  if (has_zero(geometry.sizes)) return 0;
  std::int64_t product = 1;
  for (const std::int64_t size : geometry.sizes) product *= size;
  return product;
}

Dims contiguous_strides(std::span<const std::int64_t> sizes) {
  checked_product(sizes, 1);
  Dims strides(sizes.size(), 1);
  for (std::size_t d = sizes.size(); d-- > 1;) {
    strides[d - 1] = strides[d] * std::max<std::int64_t>(sizes[d], 1);
  }
  return strides;
}

std::int64_t enclosing_stride(std::int64_t size, std::int64_t stride) noexcept {
  std::int64_t result = 0;
  return __builtin_mul_overflow(size, stride, &result) ? 0 : result;
}

void advance(Geometry& geometry, std::int64_t count, std::int64_t stride) noexcept {
  std::int64_t distance = 0;
  std::int64_t offset = 0;
  if (__builtin_mul_overflow(count, stride, &distance)) return;
  if (__builtin_add_overflow(geometry.storage_offset, distance, &offset) || offset < 0) return;
  geometry.storage_offset = offset;
}

Geometry contiguous_geometry(std::span<const std::int64_t> sizes) {
  return {Dims(sizes), contiguous_strides(sizes), 0};
}

bool is_contiguous(const Geometry& geometry) noexcept {
  if (has_zero(geometry.sizes)) return true;
  std::int64_t expected = 1;
  for (std::size_t d = geometry.sizes.size(); d-- > 0;) {
    if (geometry.sizes[d] == 1) continue;
    if (geometry.strides[d] != expected) return false;
    expected *= geometry.sizes[d];
  }
  return true;
}

bool is_non_overlapping_and_dense(const Geometry& geometry) noexcept {
  const Dims& sizes = geometry.sizes;
  const Dims& strides = geometry.strides;
  if (has_zero(sizes)) return true;
  std::array<std::size_t, kMaxDims> order;
  std::size_t count = 0;
  // Dimensions of fewer than two elements take no step, whatever their stride.
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] >= 2) order[count++] = d;
  }
  std::sort(order.begin(), order.begin() + count, [&](auto a, auto b) { return strides[a] < strides[b]; });
  std::int64_t expected = 1;
  for (std::size_t i = 0; i < count; ++i) {
    if (strides[order[i]] != expected) return false;
    expected *= sizes[order[i]];
  }
  return true;
}

bool lies_within(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides,
                 std::int64_t storage_offset, std::size_t itemsize, std::uint64_t storage_nbytes) noexcept {
  if (sizes.size() != strides.size() || storage_offset < 0) return false;
  std::int64_t product = 1;
  for (const std::int64_t size : sizes) {
    if (size < 0) return false;
    if (__builtin_mul_overflow(product, std::max<std::int64_t>(size, 1), &product)) return false;
  }
  if (has_zero(sizes)) return true;
  std::int64_t lowest = storage_offset;
  std::int64_t highest = storage_offset;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(sizes[d] - 1, strides[d], &reach)) return false;
    std::int64_t& end = reach < 0 ? lowest : highest;
    if (__builtin_add_overflow(end, reach, &end)) return false;
  }
  if (lowest < 0) return false;
  std::uint64_t end = 0;  // of the highest, in bytes
  return !__builtin_mul_overflow(static_cast<std::uint64_t>(highest) + 1, itemsize, &end) && end <= storage_nbytes;
}

bool lies_within(const Geometry& geometry, std::size_t itemsize, std::uint64_t storage_nbytes) noexcept {
  return lies_within(geometry.sizes, geometry.strides, geometry.storage_offset, itemsize, storage_nbytes);
}

void check_geometry(const Geometry& geometry, std::size_t itemsize, std::uint64_t storage_nbytes) {
  if (lies_within(geometry, itemsize, storage_nbytes)) return;
  throw InvalidArgumentError("sizes " + geometry.sizes.to_string() + ", strides " + geometry.strides.to_string() +
                             " and storage offset " + std::to_string(geometry.storage_offset) + " of " +
                             std::to_string(itemsize) + "-byte elements do not describe a tensor inside a storage of " +
                             std::to_string(storage_nbytes) + " bytes: sizes and offset must not be negative, and " +
                             "every element must lie in the storage");
}

}  // namespace tensorbroker
