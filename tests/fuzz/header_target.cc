// Tensor headers, raw and well-formed with odd numbers: what check_header accepts lies within its block, and is
// accepted again after it was decoded, encoded and stored as a record of the catalog's heap.

#include <tensorbroker/error.h>

#include <algorithm>
#include <string>
#include <vector>

#include "proto/geometry.h"
#include "proto/header.h"
#include "proto/heap_record.h"
#include "proto/limits.h"
#include "tests/fuzz/choices.h"

namespace tensorbroker::fuzz {
namespace {

using Wide = __int128;

std::vector<TensorSpec> odd_specs(Choices& choices, bool is_bundle) {
  std::vector<TensorSpec> specs(is_bundle ? choices.below(5) : choices.below(8) == 7 ? 2 : 1);
  for (TensorSpec& spec : specs) {
    spec.name = is_bundle ? choices.text(8) : std::string_view{};
    spec.dtype = static_cast<DType>(choices.below(24));
    const std::size_t dims = choices.below(6);
    for (std::size_t d = 0; d < dims; ++d) spec.sizes.push_back(static_cast<std::int64_t>(choices.odd_number()));
    for (std::size_t d = 0; d < dims; ++d) spec.strides.push_back(static_cast<std::int64_t>(choices.odd_number()));
    if (choices.below(32) == 31) spec.strides.push_back(1);
    spec.offset = choices.odd_number();
  }
  return specs;
}

// Sees whether every element lies in the block, by arithmetic that cannot overflow.
void require_within(const TensorSpec& spec, std::uint64_t block_bytes) {
  require(spec.sizes.size() == spec.strides.size(), "there are as many strides as sizes");
  Wide last = 0;
  bool is_empty = false;
  for (std::size_t d = 0; d < spec.sizes.size(); ++d) {
    require(spec.sizes[d] >= 0 && spec.strides[d] >= 0, "no size or stride is negative");
    is_empty = is_empty || spec.sizes[d] == 0;
    last += Wide{spec.sizes[d] - 1} * spec.strides[d];
  }
  require(spec.offset <= block_bytes, "the offset lies in the block");
  if (is_empty) return;
  require(Wide{spec.offset} + (last + 1) * Wide{itemsize(spec.dtype)} <= Wide{block_bytes},
          "the last element lies in the block");
}

std::vector<TensorSpec> decode(const schema::Header& header) {
  std::vector<TensorSpec> specs;
  if (header.tensors() == nullptr) return specs;
  for (const schema::TensorSpec* from : *header.tensors()) {
    TensorSpec spec{.name = {}, .dtype = static_cast<DType>(from->dtype()), .sizes = {}, .strides = {}};
    if (from->name() != nullptr) spec.name = from->name()->str();
    if (from->sizes() != nullptr) spec.sizes.assign(from->sizes()->begin(), from->sizes()->end());
    if (from->strides() != nullptr) spec.strides.assign(from->strides()->begin(), from->strides()->end());
    spec.offset = from->offset();
    specs.push_back(std::move(spec));
  }
  return specs;
}

void store_and_read(std::span<const std::byte> header, std::string_view name) {
  std::vector<std::byte> bytes(heap_record_bytes(name.size(), header.size()));
  write_heap_record({4, name, header}, bytes.data());
  require(heap_record_intact(bytes), "a record is intact after it was written");
  HeapRecord read;
  require(read_heap_record(bytes, &read) && read.name == name && read.header.size() == header.size(),
          "a record is read as it was written");
}

// What is read without a look at FlatBuffers is what they say.
void check_plain(const PlainSpec& plain, const std::vector<TensorSpec>& specs) {
  require(specs.size() == 1 && specs[0].name.empty() && specs[0].offset == 0, "a plain header is of a tensor alone");
  require(plain.dtype == specs[0].dtype && std::ranges::equal(plain.sizes, specs[0].sizes) &&
              std::ranges::equal(plain.strides, specs[0].strides),
          "a plain header is read as it is verified");
}

void check(const std::vector<std::byte>& bytes, std::uint64_t block_bytes, bool is_bundle) {
  const auto plain = read_plain_header(bytes, block_bytes);
  try {
    const schema::Header& header = check_header(bytes, block_bytes, is_bundle);
    const std::vector<TensorSpec> specs = decode(header);
    if (plain) check_plain(*plain, specs);
    for (const TensorSpec& spec : specs) require_within(spec, block_bytes);
    const std::string metadata = header.metadata() != nullptr ? header.metadata()->str() : "";
    const std::vector<std::byte> again = encode_header(specs, metadata);
    require(decode(check_header(again, block_bytes, is_bundle)).size() == specs.size(), "as many are decoded again");
    store_and_read(again, specs.empty() ? "x" : std::string_view(specs[0].name).substr(0, kMaxNameBytes));
  } catch (const InvalidArgumentError&) {
    require(!plain || is_bundle, "a plain header that is read is not refused");
  }
}

// A C-contiguous tensor at the end of a block that just holds it: that is never refused.
void check_contiguous(Choices& choices) {
  TensorSpec spec{
      .name = {}, .dtype = static_cast<DType>(choices.below(all_dtypes().size())), .sizes = {}, .strides = {}};
  std::uint64_t elements = 1;
  for (std::size_t dims = choices.below(5); dims > 0; --dims) {
    spec.sizes.push_back(choices.byte());
    elements *= static_cast<std::uint64_t>(spec.sizes.back());
  }
  spec.strides.resize(spec.sizes.size());
  std::int64_t stride = 1;
  for (std::size_t d = spec.sizes.size(); d > 0; --d) {
    spec.strides[d - 1] = stride;
    stride *= std::max<std::int64_t>(spec.sizes[d - 1], 1);
  }
  spec.offset = std::uint64_t{choices.byte()} * itemsize(spec.dtype);
  const std::vector<std::byte> bytes = encode_header({&spec, 1}, "{}");
  check_header(bytes, spec.offset + elements * itemsize(spec.dtype), false);
}

void read_record(std::span<const std::byte> from) {
  const std::vector<std::byte> bytes(from.begin(), from.end());
  HeapRecord record;
  if (read_heap_record(bytes, &record)) {
    check({record.header.begin(), record.header.end()}, 4096, false);
  }
  heap_record_intact(bytes);
}

}  // namespace
}  // namespace tensorbroker::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tensorbroker::fuzz;
  Choices choices(data, size);
  const std::uint8_t kind = choices.byte();
  const bool is_bundle = (kind & 4) != 0;
  if ((kind & 3) == 3) {
    read_record(choices.rest());
  } else if ((kind & 3) == 2) {
    check_contiguous(choices);
  } else if ((kind & 3) == 1) {
    const std::uint64_t block_bytes = choices.odd_number();
    const std::string_view metadata = choices.text(32);
    check(tensorbroker::encode_header(odd_specs(choices, is_bundle), metadata), block_bytes, is_bundle);
  } else {
    const std::uint64_t block_bytes = choices.odd_number();
    const auto bytes = choices.rest();
    check({bytes.begin(), bytes.end()}, block_bytes, is_bundle);
  }
  return 0;
}
