// The geometry of a tensor: how its sizes, strides and offset lay it over a storage.
//
// Dims and Geometry are plain values: copy freely; const access from any thread is safe.
// Invariants: a Dims has at most kMaxDims elements; the sizes and strides of a Geometry are equally long.
// What a Geometry says about memory is not an invariant: check what comes from outside with check_geometry.

#ifndef TENSORBROKER_GEOMETRY_H_
#define TENSORBROKER_GEOMETRY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace tensorbroker {

// torch's limit, and NumPy's.
inline constexpr std::size_t kMaxDims = 64;

// A short vector of int64: up to six elements lie in the object, more on the heap. Converts to std::span.
// Growing beyond kMaxDims is InvalidArgumentError.
class Dims {
 public:
  using value_type = std::int64_t;
  using iterator = std::int64_t*;
  using const_iterator = const std::int64_t*;

  Dims() noexcept = default;
  Dims(std::initializer_list<std::int64_t> values);
  explicit Dims(std::span<const std::int64_t> values);
  // `count` times `value`.
  Dims(std::size_t count, std::int64_t value);
  Dims(const Dims& other);
  Dims(Dims&& other) noexcept : heap_(std::move(other.heap_)), size_(std::exchange(other.size_, 0)) {
    std::copy(std::begin(other.inline_), std::end(other.inline_), std::begin(inline_));
  }
  Dims& operator=(const Dims& other);
  Dims& operator=(Dims&& other) noexcept;
  ~Dims() = default;

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  std::int64_t* data() noexcept { return heap_ ? heap_.get() : inline_; }
  const std::int64_t* data() const noexcept { return heap_ ? heap_.get() : inline_; }
  iterator begin() noexcept { return data(); }
  iterator end() noexcept { return data() + size_; }
  const_iterator begin() const noexcept { return data(); }
  const_iterator end() const noexcept { return data() + size_; }

  // REQUIRES: i < size(), as of a std::vector; back() and erase() likewise.
  std::int64_t& operator[](std::size_t i) noexcept { return data()[i]; }
  std::int64_t operator[](std::size_t i) const noexcept { return data()[i]; }
  std::int64_t back() const noexcept { return data()[size_ - 1]; }

  void push_back(std::int64_t value) { insert(size_, value); }
  // Puts `value` before position `at`. REQUIRES: at <= size().
  void insert(std::size_t at, std::int64_t value);
  void erase(std::size_t at) noexcept;

  // Python's text of a list: "[2, 3]".
  std::string to_string() const;

  friend bool operator==(const Dims& a, const Dims& b) noexcept;

 private:
  static constexpr std::size_t kInline = 6;

  std::int64_t inline_[kInline] = {};
  std::unique_ptr<std::int64_t[]> heap_;  // room for kMaxDims once there is one
  std::size_t size_ = 0;
};

// sizes, strides and storage_offset as torch has them: strides and offset count elements, not bytes.
struct Geometry {
  Dims sizes;
  Dims strides;
  std::int64_t storage_offset = 0;

  std::int64_t dim() const noexcept { return static_cast<std::int64_t>(sizes.size()); }
  friend bool operator==(const Geometry&, const Geometry&) = default;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_GEOMETRY_H_
