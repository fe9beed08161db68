// The header of a safetensors file: what tensors it holds, and which of its bytes are whose.
//
// The format (https://github.com/huggingface/safetensors): 8 bytes, little-endian, the length of the JSON that follows;
// the JSON, an object of {"dtype", "shape", "data_offsets": [begin, end]} by tensor name, and of strings under
// "__metadata__"; then the data, in C order, which the offsets count from. The offsets of all tensors together cover
// the data once, without hole or overlap.
// Pure functions over bytes that nobody vouches for; thread safe. Whatever is wrong is InvalidArgumentError, which
// names it; nothing is believed before it was checked.

#ifndef TENSORBROKER_CLIENT_SAFETENSORS_H_
#define TENSORBROKER_CLIENT_SAFETENSORS_H_

#include <tensorbroker/dtype.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tensorbroker::safetensors {

inline constexpr std::size_t kLengthBytes = 8;
// As the reference implementation has it.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

struct Member {
  std::string name;
  DType dtype = kFloat32;
  std::vector<std::int64_t> sizes;
  std::uint64_t begin = 0;  // bytes from the start of the data
  std::uint64_t end = 0;
};

struct Header {
  std::vector<Member> members;  // in the order of the JSON, which need not be that of the data
  std::string metadata;         // a JSON object as text; empty for none
};

// The length of the JSON, from the file's first 8 bytes. `file_bytes`: of the whole file.
std::uint64_t parse_length(std::span<const std::byte, kLengthBytes> bytes, std::uint64_t file_bytes);

// The indices of the members in the order of their data.
std::vector<std::size_t> data_order(std::span<const Member> members);

// `data_bytes`: what the file holds after the JSON.
Header parse_header(std::string_view json, std::uint64_t data_bytes);

// The file's beginning, length and JSON, padded so that the data begin at a multiple of 8 bytes. `metadata`: a JSON
// object as text, or empty. Values that are no strings are written as their JSON text, since the format has strings
// alone; parse_header gives the object back as it was. REQUIRES: offsets as the format has them.
std::string encode_header(std::span<const Member> members, std::string_view metadata);

}  // namespace tensorbroker::safetensors

#endif  // TENSORBROKER_CLIENT_SAFETENSORS_H_
