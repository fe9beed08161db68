// Views: geometry changes over the same storage. The arithmetic and torch's wording are proto/views.h's.

#include <tensorbroker/tensor.h>

#include <utility>

#include "client/decode.h"
#include "client/storage.h"
#include "proto/indexing.h"
#include "proto/views.h"

namespace tensorbroker {

Tensor Tensor::with(Geometry geometry) const { return Tensor(storage_, base_, dtype_, std::move(geometry)); }

Tensor Tensor::select(std::int64_t dim, std::int64_t index) const {
  return with(tensorbroker::select(geometry_, dim, index));
}

Tensor Tensor::narrow(std::int64_t dim, std::int64_t start, std::int64_t length) const {
  return with(tensorbroker::narrow(geometry_, dim, start, length));
}

Tensor Tensor::slice(std::int64_t dim, std::optional<std::int64_t> start, std::optional<std::int64_t> stop,
                     std::int64_t step) const {
  return with(tensorbroker::slice(geometry_, dim, start, stop, step));
}

Tensor Tensor::index(std::span<const Index> indices) const { return with(tensorbroker::index(geometry_, indices)); }

Tensor Tensor::view(DimList shape) const { return with(tensorbroker::view(geometry_, shape)); }

Tensor Tensor::view(DType dtype) const { return Tensor(storage_, base_, dtype, view_dtype(geometry_, dtype_, dtype)); }

Tensor Tensor::unflatten(std::int64_t dim, DimList sizes) const {
  return with(tensorbroker::unflatten(geometry_, dim, sizes));
}

Tensor Tensor::transpose(std::int64_t dim0, std::int64_t dim1) const {
  return with(tensorbroker::transpose(geometry_, dim0, dim1));
}

Tensor Tensor::t() const { return with(tensorbroker::t(geometry_)); }

Tensor Tensor::mT() const { return with(matrix_transpose(geometry_)); }

Tensor Tensor::numpy_T() const { return with(reversed(geometry_)); }

Tensor Tensor::permute(DimList dims) const { return with(tensorbroker::permute(geometry_, dims)); }

Tensor Tensor::movedim(DimList source, DimList destination) const {
  return with(tensorbroker::movedim(geometry_, source, destination));
}

Tensor Tensor::movedim(std::int64_t source, std::int64_t destination) const {
  return with(tensorbroker::movedim(geometry_, {&source, 1}, {&destination, 1}));
}

Tensor Tensor::unsqueeze(std::int64_t dim) const { return with(tensorbroker::unsqueeze(geometry_, dim)); }

Tensor Tensor::squeeze() const { return with(tensorbroker::squeeze(geometry_)); }

Tensor Tensor::squeeze(std::int64_t dim) const { return with(tensorbroker::squeeze(geometry_, dim)); }

Tensor Tensor::squeeze(DimList dims) const { return with(tensorbroker::squeeze(geometry_, dims)); }

Tensor Tensor::expand(DimList sizes) const { return with(tensorbroker::expand(geometry_, sizes)); }

std::vector<Tensor> Tensor::each(std::vector<Geometry> geometries) const {
  std::vector<Tensor> tensors;
  tensors.reserve(geometries.size());
  for (Geometry& geometry : geometries) tensors.push_back(with(std::move(geometry)));
  return tensors;
}

std::vector<Tensor> Tensor::unbind(std::int64_t dim) const { return each(tensorbroker::unbind(geometry_, dim)); }

std::vector<Tensor> Tensor::split(std::int64_t split_size, std::int64_t dim) const {
  return each(tensorbroker::split(geometry_, split_size, dim));
}

std::vector<Tensor> Tensor::split_with_sizes(DimList split_sizes, std::int64_t dim) const {
  return each(tensorbroker::split(geometry_, split_sizes, dim));
}

std::vector<Tensor> Tensor::chunk(std::int64_t chunks, std::int64_t dim) const {
  return each(tensorbroker::chunk(geometry_, chunks, dim));
}

Tensor Tensor::diagonal(std::int64_t offset, std::int64_t dim1, std::int64_t dim2) const {
  return with(tensorbroker::diagonal(geometry_, offset, dim1, dim2));
}

Tensor Tensor::unfold(std::int64_t dim, std::int64_t size, std::int64_t step) const {
  return with(tensorbroker::unfold(geometry_, dim, size, step));
}

std::uint64_t Tensor::storage_nbytes() const {
  if (base_ == nullptr) return 0;
  return described_nbytes(*storage_.get()) - static_cast<std::size_t>(base_ - storage_->data());
}

Tensor Tensor::as_strided(DimList sizes, DimList strides, std::optional<std::int64_t> storage_offset) const {
  const std::int64_t offset = storage_offset.value_or(geometry_.storage_offset);
  return with(tensorbroker::as_strided(sizes, strides, offset, dtype_, storage_nbytes()));
}

}  // namespace tensorbroker
