#include "proto/plain_header.h"

#include <cstdint>
#include <cstring>
#include <utility>

namespace tensorbroker {
namespace {

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
}

bool PlainHeader::matches(std::span<const std::byte> bytes) const noexcept {
  const auto same = [&](std::size_t begin, std::size_t end) {
    return std::memcmp(bytes.data() + begin, pattern_.data() + begin, end - begin) == 0;
  };
  return bytes.size() == pattern_.size() && same(0, dtype_at_) && same(dtype_at_ + 1, strides_at_) &&
         same(strides_at_ + dims_ * sizeof(std::int64_t), sizes_at_);
}

std::vector<std::byte> PlainHeader::write(const TensorSpec& spec) const {
  std::vector<std::byte> bytes = pattern_;
  bytes[dtype_at_] = static_cast<std::byte>(spec.dtype);
  std::memcpy(bytes.data() + strides_at_, spec.strides.data(), dims_ * sizeof(std::int64_t));
  std::memcpy(bytes.data() + sizes_at_, spec.sizes.data(), dims_ * sizeof(std::int64_t));
  return bytes;
}

}  // namespace tensorbroker
