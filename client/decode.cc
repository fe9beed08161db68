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
  return verify_header(copy.bytes(), storage.nbytes(), storage.state().is_bundle, storage.entry(),
                       storage.attachment()->catalog());
}

const schema::Header& verify_header(std::span<const std::byte> copy, std::uint64_t block_bytes, bool is_bundle,
                                    EntryId entry, const Catalog& catalog) {
  try {
    return check_header(copy, block_bytes, is_bundle);
  } catch (const InvalidArgumentError& error) {
    throw CorruptSegmentError("entry " + std::to_string(entry) + " in the segment " + catalog.segment().name() + ": " +
                              error.what());
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

Handle handle_of(const Storage& storage, OpenMode mode) {
  const Attachment& attachment = *storage.attachment();
  return {attachment.name().instance, instance_key(attachment.instance_id()), storage.entry(),
          version_of(storage.generation()), mode};
}

}  // namespace tensorbroker
