// The header of a tensor that is no bundle's member, begins its block and has no metadata: of nearly every tensor.
//
// Such headers with the same number of dimensions differ in dtype, sizes and strides alone. So one is written by
// copying a pattern, and recognised by comparing with it, at a tenth of what building and verifying one from its parts
// takes. Immutable; thread safe.

#ifndef TENSORBROKER_PROTO_PLAIN_HEADER_H_
#define TENSORBROKER_PROTO_PLAIN_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "proto/header.h"

namespace tensorbroker {

class PlainHeader {
 public:
  static constexpr std::size_t kMostDims = 8;

  // `pattern`: what FlatBuffers makes of a tensor with `dims` dimensions, at least one.
  PlainHeader(std::vector<std::byte> pattern, std::size_t dims);

  std::size_t size() const noexcept { return pattern_.size(); }
  // Whether the bytes are a pattern with some dtype code, sizes and strides filled in. They verify as a Header then.
  bool matches(std::span<const std::byte> bytes) const noexcept;
  // What is filled in, as views. REQUIRES: bytes that match, and begin at a multiple of 8.
  std::uint8_t dtype_code(std::span<const std::byte> bytes) const noexcept;
  std::span<const std::int64_t> sizes(std::span<const std::byte> bytes) const noexcept;
  std::span<const std::int64_t> strides(std::span<const std::byte> bytes) const noexcept;
  // REQUIRES: a spec of as many dimensions, without name and offset, whose dtype's code is not 0 (that is left out).
  std::vector<std::byte> write(const TensorSpec& spec) const;

 private:
  std::vector<std::byte> pattern_;    // whole words: FlatBuffers pads to what is aligned most, which numbers are
  std::vector<std::uint64_t> words_;  // the pattern, zeros where something is filled in
  std::vector<std::uint64_t> fixed_;  // ones where nothing is
  std::size_t dims_;
  std::size_t dtype_at_;
  std::size_t strides_at_;
  std::size_t sizes_at_;  // to the end
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_PLAIN_HEADER_H_
