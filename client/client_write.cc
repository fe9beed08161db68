// Publishing: sealed tensors and bundles, drafts, mutable tensors.

#include <tensorbroker/client.h>

#include <cstring>

#include "client/bundle_layout.h"
#include "client/client_impl.h"
#include "client/decode.h"
#include "client/metadata.h"
#include "client/publish.h"
#include "client/scalar.h"
#include "client/strided.h"
#include "proto/geometry.h"
#include "proto/header.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

using detail::StorageRef;

void check_put(std::string_view name, const PutOptions& options) {
  check_name(name);
  check_metadata(options.metadata);
}

StorageRef publish_and_wait(Client::Impl& client, const Publication& publication, const Fill& fill) {
  return client.with_attachment_in_order(
      [&](Attachment& attachment, const Limit& limit) { return publish_filled(attachment, publication, fill, limit); });
}

// A mutable tensor of C order, its elements written by `fill`.
Tensor make_mutable(Client::Impl& client, std::span<const std::int64_t> sizes, DType dtype, std::string_view name,
                    std::string_view metadata, const Fill& fill) {
  if (!name.empty()) check_name(name);
  check_metadata(metadata);
  const auto bytes = static_cast<std::uint64_t>(checked_nbytes(sizes, itemsize(dtype)));
  const TensorSpec spec = make_spec({}, dtype, contiguous_geometry(sizes), 0);
  const std::vector<std::byte> header = encode_header({&spec, 1}, metadata);
  const Publication publication{
      .name = name, .header = header, .nbytes = bytes, .is_mutable = true, .overwrite = false};
  return decode_tensor(publish_and_wait(client, publication, fill));
}

Tensor make_full(Client::Impl& client, std::span<const std::int64_t> sizes, double value, DType dtype,
                 std::string_view name) {
  const Geometry geometry = contiguous_geometry(sizes);
  return make_mutable(client, sizes, dtype, name, {},
                      [&](std::byte* block) { fill(geometry, dtype, block, Scalar(value)); });
}

// Calls `publish` with what a tensor is published as, and what copies it.
template <class Publish>
auto with_tensor(std::string_view name, const Tensor& data, DType dtype, const PutOptions& options,
                 const Publish& publish) {
  check_put(name, options);
  if (!data.defined()) throw InvalidArgumentError("put('" + std::string(name) + "') of an undefined tensor");
  const auto bytes = static_cast<std::uint64_t>(checked_nbytes(data.sizes(), itemsize(dtype)));
  const Geometry geometry = sealed_geometry(data);
  const TensorSpec spec = make_spec({}, dtype, geometry, 0);
  const std::vector<std::byte> header = encode_header({&spec, 1}, options.metadata);
  return publish({.name = name, .header = header, .nbytes = bytes, .overwrite = options.overwrite},
                 [&](std::byte* block) { copy_elements(data, geometry, dtype, block); });
}

template <class Publish>
auto with_bundle(std::string_view name, std::span<const Bundle::Member> members, std::optional<DType> dtype,
                 const PutOptions& options, const Publish& publish) {
  check_put(name, options);
  const BundleLayout layout = lay_out_bundle(members, dtype);
  const std::vector<std::byte> header = encode_header(layout.specs, options.metadata);
  check_header(header, layout.bytes, true);
  return publish(
      {.name = name, .header = header, .nbytes = layout.bytes, .is_bundle = true, .overwrite = options.overwrite},
      [&](std::byte* block) { copy_bundle(members, layout, block); });
}

}  // namespace

Tensor Client::put(std::string_view name, const Tensor& data, DType dtype, const PutOptions& options) {
  return with_tensor(name, data, dtype, options, [this](const Publication& publication, const Fill& copy) {
    return decode_tensor(publish_and_wait(*impl_, publication, copy));
  });
}

Bundle Client::put_bundle(std::string_view name, std::span<const Bundle::Member> members, const PutOptions& options) {
  return with_bundle(name, members, {}, options, [this](const Publication& publication, const Fill& copy) {
    return Bundle(publish_and_wait(*impl_, publication, copy));
  });
}

Bundle Client::put_bundle(std::string_view name, std::span<const Bundle::Member> members, DType dtype,
                          const PutOptions& options) {
  return with_bundle(name, members, dtype, options, [this](const Publication& publication, const Fill& copy) {
    return Bundle(publish_and_wait(*impl_, publication, copy));
  });
}

void Client::put_nowait(std::string_view name, const Tensor& data, std::optional<DType> dtype,
                        const PutOptions& options) {
  with_tensor(name, data, dtype.value_or(data.dtype()), options,
              [this](const Publication& publication, const Fill& copy) { impl_->put_nowait(publication, copy); });
}

void Client::put_bundle_nowait(std::string_view name, std::span<const Bundle::Member> members,
                               std::optional<DType> dtype, const PutOptions& options) {
  with_bundle(name, members, dtype, options,
              [this](const Publication& publication, const Fill& copy) { impl_->put_nowait(publication, copy); });
}

Tensor Client::create(std::string_view name, std::span<const std::int64_t> sizes, DType dtype,
                      const PutOptions& options) {
  check_put(name, options);
  const Geometry geometry = contiguous_geometry(sizes);
  return impl_->with_attachment([&](Attachment& attachment, const Limit&) {
    const StorageRef draft = create_draft(attachment, name, sizes, dtype, options, impl_->limits());
    return Tensor(draft, draft->data(), dtype, geometry);
  });
}

void Client::remove(std::string_view name) {
  check_name(name);
  impl_->with_attachment_in_order([&](Attachment& attachment, const Limit& limit) { attachment.remove(name, limit); });
}

Tensor Client::empty(std::span<const std::int64_t> sizes, DType dtype, std::string_view name,
                     std::string_view metadata) {
  return make_mutable(*impl_, sizes, dtype, name, metadata, [](std::byte*) {});
}

Tensor Client::zeros(std::span<const std::int64_t> sizes, DType dtype, std::string_view name) {
  const auto bytes = static_cast<std::size_t>(checked_nbytes(sizes, itemsize(dtype)));
  return make_mutable(*impl_, sizes, dtype, name, {}, [&](std::byte* block) { std::memset(block, 0, bytes); });
}

Tensor Client::ones(std::initializer_list<std::int64_t> sizes, DType dtype, std::string_view name) {
  return make_full(*impl_, std::span(sizes.begin(), sizes.size()), 1, dtype, name);
}

Tensor Client::full(std::span<const std::int64_t> sizes, double value, DType dtype, std::string_view name) {
  return make_full(*impl_, sizes, value, dtype, name);
}

}  // namespace tensorbroker
