#include "client/decode.h"

#include <tensorbroker/error.h>

#include <cstring>
#include <span>
#include <utility>

#include "client/attachment.h"
#include "client/metadata.h"
#include "proto/geometry.h"
#include "proto/header.h"

namespace tensorbroker {
namespace {

using detail::Storage;
using detail::StorageRef;

// REQUIRES: a verified spec, as are the sums and products of sizes below.
Tensor decode_spec(StorageRef storage, const schema::TensorSpec& spec) {
  std::byte* const data = storage->data() + spec.offset();
  return Tensor(std::move(storage), data, static_cast<DType>(spec.dtype()),
                Geometry{Dims(numbers(spec.sizes())), Dims(numbers(spec.strides())), 0});
}

std::uint64_t nbytes_of(const schema::TensorSpec& spec) {
  std::uint64_t bytes = itemsize(static_cast<DType>(spec.dtype()));
  for (const std::int64_t size : numbers(spec.sizes())) bytes *= static_cast<std::uint64_t>(size);
  return bytes;
}

void describe_tensor(const schema::TensorSpec& spec, Info* info) {
  info->dtype = static_cast<DType>(spec.dtype());
  const std::span<const std::int64_t> sizes = numbers(spec.sizes());
  info->shape.assign(sizes.begin(), sizes.end());
  info->nbytes = nbytes_of(spec);
}

void describe_bundle(const schema::Header& header, Info* info) {
  const std::size_t members = header.tensors() != nullptr ? header.tensors()->size() : 0;
  info->shape = {static_cast<std::int64_t>(members)};
  for (std::size_t i = 0; i < members; ++i) {
    info->nbytes += nbytes_of(*header.tensors()->Get(static_cast<flatbuffers::uoffset_t>(i)));
  }
}

}  // namespace

HeaderCopy::HeaderCopy(const Storage& storage) {
  const std::span<const std::byte> original = storage.record().header;
  original_ = original.data();
  size_ = original.size();
  if (size_ > sizeof near_) {
    far_ = std::make_unique_for_overwrite<std::uint64_t[]>((size_ + 7) / 8);
    words_ = far_.get();
  }
  std::memcpy(words_, original.data(), size_);
}

const schema::Header& VerifiedHeader::verify(const HeaderCopy& copy, const Storage& storage) {
  try {
    return check_header(copy.bytes(), storage.nbytes(), storage.state().is_bundle);
  } catch (const InvalidArgumentError& error) {
    throw CorruptSegmentError("entry " + std::to_string(storage.entry()) + " in the segment " +
                              storage.attachment()->catalog().segment().name() + ": " + error.what());
  }
}

std::string_view metadata_of(const schema::Header& header) noexcept {
  return header.metadata() != nullptr ? header.metadata()->string_view() : kNoMetadata;
}

// The text lies where the verified copy says, whatever became of the original since.
std::string_view metadata_of(const Storage& storage) {
  const VerifiedHeader header(storage);
  if (header->metadata() == nullptr) return kNoMetadata;
  const std::string_view text = header->metadata()->string_view();
  const HeaderCopy& copy = header.copy();
  const auto at = text.data() - reinterpret_cast<const char*>(copy.bytes().data());
  return {reinterpret_cast<const char*>(copy.original()) + at, text.size()};
}

Tensor decode_tensor(StorageRef storage) {
  const HeaderCopy copy(*storage.get());
  if (const auto spec = read_plain_header(copy.bytes(), storage->nbytes())) {
    std::byte* const data = storage->data();
    return Tensor(std::move(storage), data, spec->dtype, Geometry{Dims(spec->sizes), Dims(spec->strides), 0});
  }
  const schema::Header& header = VerifiedHeader::verify(copy, *storage.get());
  return decode_spec(std::move(storage), *header.tensors()->Get(0));
}

std::uint64_t described_nbytes(const Storage& storage) {
  if (storage.attachment() == nullptr || storage.generation() == 0 || storage.state().is_bundle) {
    return storage.nbytes();
  }
  const VerifiedHeader header(storage);
  const schema::TensorSpec& spec = *header->tensors()->Get(0);
  const Geometry geometry{Dims(numbers(spec.sizes())), Dims(numbers(spec.strides())), 0};
  return spec.offset() +
         static_cast<std::uint64_t>(checked_reach(geometry, itemsize(static_cast<DType>(spec.dtype()))));
}

std::vector<Bundle::Member> decode_members(const StorageRef& storage, const schema::Header& header) {
  std::vector<Bundle::Member> members;
  if (header.tensors() == nullptr) return members;
  members.reserve(header.tensors()->size());
  for (const schema::TensorSpec* spec : *header.tensors()) {
    members.emplace_back(spec->name()->str(), decode_spec(storage, *spec));
  }
  return members;
}

Object decode_object(StorageRef storage) {
  if (storage->state().is_bundle) return Bundle(std::move(storage));
  return decode_tensor(std::move(storage));
}

Info decode_info(const StorageRef& storage) {
  const VerifiedHeader verified(*storage.get());
  const schema::Header& header = *verified;
  const EntryState state = storage->state();
  Info info;
  info.name = storage->record().name;
  info.is_bundle = state.is_bundle;
  info.is_mutable = state.is_mutable;
  if (state.is_bundle) {
    describe_bundle(header, &info);
  } else {
    describe_tensor(*header.tensors()->Get(0), &info);
  }
  info.version = version_of(storage->generation());
  info.metadata = metadata_of(header);
  const Entry& entry = storage->attachment()->catalog().entry(storage->entry());
  info.created = static_cast<double>(entry.created_us.load(std::memory_order_relaxed)) / 1e6;
  info.handle = format_handle(handle_of(*storage.get(), OpenMode::kRead));
  return info;
}

Handle handle_of(const Storage& storage, OpenMode mode) {
  const Attachment& attachment = *storage.attachment();
  return {attachment.name().instance, instance_key(attachment.instance_id()), storage.entry(),
          version_of(storage.generation()), mode};
}

}  // namespace tensorbroker
