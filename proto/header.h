// The FlatBuffers Header of a tensor or bundle: written by its publisher, checked by the broker before it is stored and
// by each reader before it is used.
//
// Pure functions over bytes; thread safe.

#ifndef TENSORBROKER_PROTO_HEADER_H_
#define TENSORBROKER_PROTO_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/schema/tensor_generated.h"
#include "tensorbroker/dtype.h"

namespace tensorbroker {

// One tensor within a block.
struct TensorSpec {
  std::string name;  // a member's name; empty for a tensor
  DType dtype = kFloat32;
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;  // elements
  std::uint64_t offset = 0;           // bytes from the start of the block
};

// Serialises a header. REQUIRES: specs that check_header would accept. `metadata`: a JSON object, or empty.
std::vector<std::byte> encode_header(std::span<const TensorSpec> specs, std::string_view metadata);

// The sizes or strides of a verified spec; none where the field is absent.
inline std::span<const std::int64_t> numbers(const flatbuffers::Vector<std::int64_t>* values) noexcept {
  return values != nullptr ? std::span(values->data(), values->size()) : std::span<const std::int64_t>();
}

// Verifies the bytes as FlatBuffers (bounded size, depth and tables) and as tensors: known dtypes, as many strides as
// sizes, aligned as numbers, none negative, every element within `block_bytes`, offsets aligned to the element; exactly
// one unnamed tensor, or, in a bundle, at most 65,536 members with valid and distinct names; metadata of at most 64
// KiB. Returns the header as a view into `bytes`. Throws InvalidArgumentError with the offending value. REQUIRES:
// `bytes` begin at a multiple of 8; copy what came nested in a message first.
const schema::Header& check_header(std::span<const std::byte> bytes, std::uint64_t block_bytes, bool is_bundle);

// The tensor of a header as nearly all are (plain_header.h): dtype, sizes and strides, as views into `bytes`.
struct PlainSpec {
  DType dtype = kFloat32;
  std::span<const std::int64_t> sizes;
  std::span<const std::int64_t> strides;
};

// The same, without a look at FlatBuffers; nullopt where the header is none of those, or check_header would refuse it.
// REQUIRES: as check_header.
std::optional<PlainSpec> read_plain_header(std::span<const std::byte> bytes, std::uint64_t block_bytes) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_HEADER_H_
