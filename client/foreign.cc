// Tensors over memory of the caller's, and tensors for those who know no read-only memory.

#include <tensorbroker/tensor.h>

#include <string>
#include <utility>

#include "client/storage.h"
#include "proto/geometry.h"

namespace tensorbroker {
namespace {

using detail::Storage;
using detail::StorageRef;

Geometry strided(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) {
  Geometry geometry{Dims(sizes), Dims(strides), 0};
  if (sizes.size() != strides.size()) {
    throw InvalidArgumentError("from_blob: " + std::to_string(sizes.size()) + " sizes " + geometry.sizes.to_string() +
                               " with " + std::to_string(strides.size()) + " strides " + geometry.strides.to_string());
  }
  const bool empty = checked_numel(sizes) == 0;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    if (strides[d] >= 0) continue;
    // Nobody steps over a dimension of size 1, nor over any of a tensor without elements.
    if (sizes[d] > 1 && !empty) {
      throw InvalidArgumentError("strides " + geometry.strides.to_string() +
                                 " hold a negative one, which tensors do not have: copy the elements first");
    }
    geometry.strides[d] = 1;
  }
  return geometry;
}

Tensor foreign(void* data, Geometry geometry, DType dtype, bool writable, std::function<void(void*)> deleter) {
  const auto bytes = static_cast<std::size_t>(checked_reach(geometry, itemsize(dtype)));
  if (data == nullptr && bytes != 0) {
    throw InvalidArgumentError("from_blob: a null pointer for a tensor of sizes " + geometry.sizes.to_string() +
                               ", which has " + std::to_string(bytes) + " bytes; give the memory that they are in");
  }
  StorageRef storage = Storage::foreign(data, bytes, writable, std::move(deleter));
  return Tensor(std::move(storage), static_cast<std::byte*>(data), dtype, std::move(geometry));
}

}  // namespace

Tensor from_blob(void* data, std::span<const std::int64_t> sizes, DType dtype, std::function<void(void*)> deleter) {
  return foreign(data, contiguous_geometry(sizes), dtype, true, std::move(deleter));
}

Tensor from_blob(const void* data, std::span<const std::int64_t> sizes, DType dtype,
                 std::function<void(void*)> deleter) {
  return foreign(const_cast<void*>(data), contiguous_geometry(sizes), dtype, false, std::move(deleter));
}

Tensor from_blob(void* data, std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides, DType dtype,
                 std::function<void(void*)> deleter) {
  return foreign(data, strided(sizes, strides), dtype, true, std::move(deleter));
}

Tensor from_blob(const void* data, std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides,
                 DType dtype, std::function<void(void*)> deleter) {
  return foreign(const_cast<void*>(data), strided(sizes, strides), dtype, false, std::move(deleter));
}

// ---------------------------------------------------------------- private pages

std::size_t detail::offset_in_storage(const Tensor& tensor) {
  if (tensor.numel() == 0) return 0;
  // A published draft is read at another address than it was written at; its tensors all begin where it begins.
  const StorageRef& storage = tensor.storage();
  if (storage->draft() != nullptr) return static_cast<std::size_t>(tensor.storage_offset()) * tensor.itemsize();
  return static_cast<std::size_t>(static_cast<const std::byte*>(tensor.const_data()) - storage->data());
}

Tensor Tensor::exportable() const {
  storage_->check_usable();
  if (is_writable()) return *this;
  if (is_sealed()) {
    StorageRef pages = Storage::private_copy(storage_, true);
    std::byte* first = pages->data();
    if (numel() != 0) first += detail::offset_in_storage(*this);
    Geometry geometry = geometry_;
    geometry.storage_offset = 0;
    return Tensor(std::move(pages), first, dtype_, std::move(geometry));
  }
  if (!is_mutable()) {
    throw ReadOnlyError(
        "this tensor is a view of constant memory, and torch and DLPack know no read-only memory: call .clone()");
  }
  throw ReadOnlyError(
      "this tensor may change but was opened \"r\", and torch and DLPack know no read-only memory: open it with mode "
      "\"r+\" to share its memory or \"c\" for private pages, or call .clone()");
}

}  // namespace tensorbroker
