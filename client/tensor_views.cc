// Views: geometry changes over the same storage. The arithmetic and torch's wording are proto/views.h's.

#include <tensorbroker/tensor.h>

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

Tensor Tensor::view(std::span<const std::int64_t> shape) const { return with(tensorbroker::view(geometry_, shape)); }

Tensor Tensor::transpose(std::int64_t dim0, std::int64_t dim1) const {
  return with(tensorbroker::transpose(geometry_, dim0, dim1));
}

Tensor Tensor::t() const { return with(tensorbroker::t(geometry_)); }

Tensor Tensor::permute(std::span<const std::int64_t> dims) const {
  return with(tensorbroker::permute(geometry_, dims));
}

Tensor Tensor::unsqueeze(std::int64_t dim) const { return with(tensorbroker::unsqueeze(geometry_, dim)); }

Tensor Tensor::squeeze() const { return with(tensorbroker::squeeze(geometry_)); }

Tensor Tensor::squeeze(std::int64_t dim) const { return with(tensorbroker::squeeze(geometry_, dim)); }

Tensor Tensor::expand(std::span<const std::int64_t> sizes) const {
  return with(tensorbroker::expand(geometry_, sizes));
}

}  // namespace tensorbroker
