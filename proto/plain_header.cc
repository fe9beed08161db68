#include "proto/plain_header.h"

#include <cstdint>
#include <cstring>
#include <utility>

namespace tensorbroker {
namespace {

constexpr std::size_t kWord = sizeof(std::uint64_t);

std::size_t position(const std::vector<std::byte>& bytes, const void* of) {
  return static_cast<std::size_t>(static_cast<const std::byte*>(of) - bytes.data());
}

}  // namespace

PlainHeader::PlainHeader(std::vector<std::byte> pattern, std::size_t dims) : pattern_(std::move(pattern)), dims_(dims) {
  const schema::TensorSpec& spec = *flatbuffers::GetRoot<schema::Header>(pattern_.data())->tensors()->Get(0);
  const auto& table = reinterpret_cast<const flatbuffers::Table&>(spec);  // what each generated class is
  dtype_at_ = position(pattern_, table.GetAddressOf(schema::TensorSpec::VT_DTYPE));
  strides_at_ = position(pattern_, spec.strides()->data());
  sizes_at_ = position(pattern_, spec.sizes()->data());
  std::vector<std::byte> fixed(pattern_.size(), std::byte{0xff});
  std::memset(fixed.data() + dtype_at_, 0, 1);
  std::memset(fixed.data() + strides_at_, 0, dims_ * sizeof(std::int64_t));
  std::memset(fixed.data() + sizes_at_, 0, dims_ * sizeof(std::int64_t));
  words_.resize(pattern_.size() / kWord);
  fixed_.resize(words_.size());
  std::memcpy(words_.data(), pattern_.data(), words_.size() * kWord);
  std::memcpy(fixed_.data(), fixed.data(), fixed_.size() * kWord);
  for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= fixed_[i];
}

bool PlainHeader::matches(std::span<const std::byte> bytes) const noexcept {
  if (bytes.size() != words_.size() * kWord) return false;
  std::uint64_t differences = 0;
  for (std::size_t i = 0; i < words_.size(); ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i * kWord, kWord);
    differences |= (word & fixed_[i]) ^ words_[i];
  }
  return differences == 0;
}

std::uint8_t PlainHeader::dtype_code(std::span<const std::byte> bytes) const noexcept {
  return static_cast<std::uint8_t>(bytes[dtype_at_]);
}

std::span<const std::int64_t> PlainHeader::sizes(std::span<const std::byte> bytes) const noexcept {
  return {reinterpret_cast<const std::int64_t*>(bytes.data() + sizes_at_), dims_};
}

std::span<const std::int64_t> PlainHeader::strides(std::span<const std::byte> bytes) const noexcept {
  return {reinterpret_cast<const std::int64_t*>(bytes.data() + strides_at_), dims_};
}

std::vector<std::byte> PlainHeader::write(const TensorSpec& spec) const {
  std::vector<std::byte> bytes = pattern_;
  bytes[dtype_at_] = static_cast<std::byte>(spec.dtype);
  std::memcpy(bytes.data() + strides_at_, spec.strides.data(), dims_ * sizeof(std::int64_t));
  std::memcpy(bytes.data() + sizes_at_, spec.sizes.data(), dims_ * sizeof(std::int64_t));
  return bytes;
}

}  // namespace tensorbroker
