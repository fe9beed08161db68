#include "proto/header.h"

#include <algorithm>
#include <array>
#include <memory_resource>
#include <unordered_set>

#include "proto/frame.h"
#include "proto/geometry.h"
#include "proto/limits.h"
#include "proto/name.h"
#include "proto/plain_header.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr std::size_t kMaxMembers = 65536;

[[noreturn]] void refuse(const std::string& what) { throw InvalidArgumentError("the header is refused: " + what); }

bool verifies(std::span<const std::byte> bytes) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), kVerifierDepth,
                                 kVerifierTables);
  return bytes.size() >= sizeof(flatbuffers::uoffset_t) * 2 && verifier.VerifyBuffer<schema::Header>(nullptr);
}

// Which FlatBuffers does not verify of a vector's elements.
bool is_aligned(std::span<const std::int64_t> values) {
  return values.empty() || reinterpret_cast<std::uintptr_t>(values.data()) % alignof(std::int64_t) == 0;
}

void check_spec(const schema::TensorSpec& spec, std::uint64_t block_bytes) {
  const auto dtype = dtype_from_code(spec.dtype());
  if (!dtype) refuse("there is no dtype with code " + std::to_string(spec.dtype()));
  const std::span<const std::int64_t> sizes = numbers(spec.sizes());
  const std::span<const std::int64_t> strides = numbers(spec.strides());
  if (sizes.size() != strides.size() || sizes.size() > kMaxDims) {
    refuse(std::to_string(sizes.size()) + " sizes with " + std::to_string(strides.size()) +
           " strides; they must be as many, at most " + std::to_string(kMaxDims));
  }
  if (spec.offset() > block_bytes || spec.offset() % itemsize(*dtype) != 0) {
    refuse("the offset " + std::to_string(spec.offset()) + " in a block of " + std::to_string(block_bytes) + " bytes");
  }
  if (!is_aligned(sizes) || !is_aligned(strides)) refuse("its numbers do not begin at multiples of 8");
  if (std::any_of(strides.begin(), strides.end(), [](std::int64_t s) { return s < 0; })) {
    refuse("negative strides; copy the tensor first");
  }
  const std::uint64_t room = block_bytes - spec.offset();
  if (lies_within(sizes, strides, 0, itemsize(*dtype), room)) return;
  check_geometry({Dims(sizes), Dims(strides), 0}, itemsize(*dtype), room);  // which says what is wrong
}

void check_members(const schema::Header& header) {
  std::array<std::byte, 32 * 1024> buffer;  // for some hundreds; an allocation for each took a third of the time
  std::pmr::monotonic_buffer_resource memory(buffer.data(), buffer.size());
  std::pmr::unordered_set<std::string_view> names(&memory);
  names.reserve(header.tensors()->size());
  for (const schema::TensorSpec* spec : *header.tensors()) {
    if (spec->name() == nullptr) refuse("a bundle's member has no name");
    const std::string_view name = spec->name()->string_view();
    check_name(name);
    if (!names.insert(name).second) refuse("two members are called '" + std::string(name) + "'");
  }
}

std::vector<std::byte> build_header(std::span<const TensorSpec> specs, std::string_view metadata) {
  flatbuffers::FlatBufferBuilder builder(256 + specs.size() * 128);
  std::vector<flatbuffers::Offset<schema::TensorSpec>> tensors;
  tensors.reserve(specs.size());
  for (const TensorSpec& spec : specs) {
    const flatbuffers::Offset<flatbuffers::String> name =
        spec.name.empty() ? 0 : builder.CreateString(spec.name.data(), spec.name.size());
    const auto sizes = builder.CreateVector(spec.sizes);
    const auto strides = builder.CreateVector(spec.strides);
    tensors.push_back(
        schema::CreateTensorSpec(builder, name, static_cast<std::uint8_t>(spec.dtype), sizes, strides, spec.offset));
  }
  const auto list = builder.CreateVector(tensors);
  const flatbuffers::Offset<flatbuffers::String> text =
      metadata.empty() ? 0 : builder.CreateString(metadata.data(), metadata.size());
  builder.Finish(schema::CreateHeader(builder, list, text));
  const auto* begin = reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {begin, begin + builder.GetSize()};
}

// Those of one dimension, of two, and so on.
std::span<const PlainHeader> plain_headers() {
  static const auto* const headers = [] {
    auto* made = new std::vector<PlainHeader>;
    for (std::size_t dims = 1; dims <= PlainHeader::kMostDims; ++dims) {
      const std::vector<std::int64_t> zeros(dims);
      const TensorSpec spec{.name = "", .dtype = kFloat32, .sizes = zeros, .strides = zeros};
      made->emplace_back(build_header({&spec, 1}, {}), dims);
    }
    return made;
  }();
  return *headers;
}

bool is_plain(std::span<const TensorSpec> specs, std::string_view metadata) {
  if (specs.size() != 1 || !metadata.empty()) return false;
  const TensorSpec& spec = specs.front();
  const std::size_t dims = spec.sizes.size();
  return dims >= 1 && dims <= PlainHeader::kMostDims && spec.strides.size() == dims && spec.name.empty() &&
         spec.offset == 0 && static_cast<std::uint8_t>(spec.dtype) != 0;
}

// The pattern that the bytes are; null where they are none.
const PlainHeader* matching_plain_header(std::span<const std::byte> bytes) noexcept {
  const std::span<const PlainHeader> known = plain_headers();
  constexpr std::size_t kOfADimension = 2 * sizeof(std::int64_t);
  const std::size_t at = (bytes.size() - known.front().size()) / kOfADimension;  // huge where it is shorter
  return at < known.size() && known[at].matches(bytes) ? &known[at] : nullptr;
}

}  // namespace

std::vector<std::byte> encode_header(std::span<const TensorSpec> specs, std::string_view metadata) {
  if (is_plain(specs, metadata)) return plain_headers()[specs.front().sizes.size() - 1].write(specs.front());
  return build_header(specs, metadata);
}

const schema::Header& check_header(std::span<const std::byte> bytes, std::uint64_t block_bytes, bool is_bundle) {
  if (bytes.size() > kMaxHeaderBytes) {
    refuse(std::to_string(bytes.size()) + " bytes are more than " + std::to_string(kMaxHeaderBytes) +
           "; put fewer members in one bundle");
  }
  const bool is_well = !is_bundle && read_plain_header(bytes, block_bytes).has_value();
  if (!is_well && matching_plain_header(bytes) == nullptr && !verifies(bytes)) refuse("it is not a FlatBuffers Header");
  // Not before: there may be no bytes at all.
  const schema::Header& header = *flatbuffers::GetRoot<schema::Header>(bytes.data());
  if (is_well) return header;
  const std::size_t count = header.tensors() != nullptr ? header.tensors()->size() : 0;
  if (is_bundle ? count > kMaxMembers : count != 1) {
    refuse("a " + std::string(is_bundle ? "bundle" : "tensor") + " of " + std::to_string(count) + " tensors");
  }
  if (header.metadata() != nullptr && header.metadata()->size() > kMaxMetadataBytes) {
    refuse("metadata of " + std::to_string(header.metadata()->size()) + " bytes; at most " +
           std::to_string(kMaxMetadataBytes) + " fit, put the rest into a tensor");
  }
  if (header.tensors() != nullptr) {
    for (const schema::TensorSpec* spec : *header.tensors()) check_spec(*spec, block_bytes);
  }
  if (is_bundle && header.tensors() != nullptr) check_members(header);
  return header;
}

std::optional<PlainSpec> read_plain_header(std::span<const std::byte> bytes, std::uint64_t block_bytes) noexcept {
  const PlainHeader* const known = matching_plain_header(bytes);
  if (known == nullptr) return std::nullopt;
  const auto dtype = dtype_from_code(known->dtype_code(bytes));
  if (!dtype) return std::nullopt;
  const PlainSpec spec{*dtype, known->sizes(bytes), known->strides(bytes)};
  if (std::any_of(spec.strides.begin(), spec.strides.end(), [](std::int64_t s) { return s < 0; })) return std::nullopt;
  if (!lies_within(spec.sizes, spec.strides, 0, itemsize(*dtype), block_bytes)) return std::nullopt;
  return spec;
}

}  // namespace tensorbroker
