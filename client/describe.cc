#include "client/describe.h"

#include <span>

#include "client/attachment.h"
#include "client/decode.h"
#include "client/handle.h"
#include "client/metadata.h"
#include "proto/header.h"

namespace tensorbroker {
namespace {

std::uint64_t nbytes_of(DType dtype, std::span<const std::int64_t> sizes) {
  std::uint64_t bytes = itemsize(dtype);
  for (const std::int64_t size : sizes) bytes *= static_cast<std::uint64_t>(size);
  return bytes;
}

void describe_tensor(DType dtype, std::span<const std::int64_t> sizes, Info* info) {
  info->dtype = dtype;
  info->shape.assign(sizes.begin(), sizes.end());
  info->nbytes = nbytes_of(dtype, sizes);
}

void describe_bundle(const schema::Header& header, Info* info) {
  const std::size_t members = header.tensors() != nullptr ? header.tensors()->size() : 0;
  info->shape = {static_cast<std::int64_t>(members)};
  for (std::size_t i = 0; i < members; ++i) {
    const schema::TensorSpec& spec = *header.tensors()->Get(static_cast<flatbuffers::uoffset_t>(i));
    info->nbytes += nbytes_of(static_cast<DType>(spec.dtype()), numbers(spec.sizes()));
  }
}

void describe_header(const EntryRecord& entry, const Catalog& catalog, Info* info) {
  const std::span<const std::byte> bytes = entry.record.header;
  const bool is_bundle = entry.state.is_bundle;
  if (!is_bundle) {
    if (const auto plain = read_plain_header(bytes, entry.block_bytes)) {
      describe_tensor(plain->dtype, plain->sizes, info);
      info->metadata = kNoMetadata;
      return;
    }
  }
  const schema::Header& header = verify_header(bytes, entry.block_bytes, is_bundle, entry.entry, catalog);
  info->metadata = metadata_of(header);
  if (is_bundle) return describe_bundle(header, info);
  const schema::TensorSpec& spec = *header.tensors()->Get(0);
  describe_tensor(static_cast<DType>(spec.dtype()), numbers(spec.sizes()), info);
}

}  // namespace

Describer::Describer(const Attachment& attachment)
    : catalog_(attachment.catalog()),
      handle_beginning_(handle_beginning(attachment.name().instance, instance_key(attachment.instance_id()))) {}

Info Describer::operator()(const EntryRecord& entry) const {
  Info info;
  info.name = entry.record.name;
  info.is_bundle = entry.state.is_bundle;
  info.is_mutable = entry.state.is_mutable;
  describe_header(entry, catalog_, &info);
  info.version = version_of(entry.generation);
  info.created = static_cast<double>(entry.created_us) / 1e6;
  info.handle = format_handle(handle_beginning_, entry.entry, info.version, OpenMode::kRead);
  return info;
}

Info Describer::operator()(const detail::Storage& leased) const {
  const HeaderCopy copy(leased);
  const HeapRecord record = leased.record();
  return (*this)({.entry = leased.entry(),
                  .state = leased.state(),
                  .generation = leased.generation(),
                  .block_bytes = leased.nbytes(),
                  .created_us = catalog_.entry(leased.entry()).created_us.load(std::memory_order_relaxed),
                  .record = {record.generation, record.name, copy.bytes()}});
}

}  // namespace tensorbroker
