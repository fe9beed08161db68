#include "client/advanced_index.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <string>
#include <utility>

#include "client/scalar.h"
#include "client/strided.h"
#include "client/tensor_memory.h"
#include "proto/dense_strides.h"
#include "proto/geometry.h"
#include "proto/views.h"

namespace tensorbroker {
namespace {

bool is_mask(const Tensor& tensor) { return tensor.dtype() == kBool || tensor.dtype() == kUInt8; }

std::vector<std::int64_t> values_of(const Tensor& tensor) {
  std::vector<std::int64_t> values(static_cast<std::size_t>(tensor.numel()));
  if (values.empty()) return values;
  copy_convert(contiguous_geometry(tensor.sizes()), kInt64, reinterpret_cast<std::byte*>(values.data()),
               tensor.geometry(), tensor.dtype(), base_of(tensor));
  check_intact(tensor);
  return values;
}

void check_mask(const Tensor& mask, const Tensor& view, std::size_t dim) {
  for (std::size_t j = 0; j < mask.sizes().size(); ++j) {
    if (dim + j < view.sizes().size() && mask.sizes()[j] == view.sizes()[dim + j]) continue;
    throw IndexError("The shape of the mask " + mask.geometry().sizes.to_string() + " at index " + std::to_string(j) +
                     " does not match the shape of the indexed tensor " + view.geometry().sizes.to_string() +
                     " at index " + std::to_string(dim + j));
  }
}

void check_dtypes(const IndexedView& indexed) {
  for (const IndexedView::Term& term : indexed.terms) {
    const DType dtype = term.tensor.dtype();
    if (dtype == kInt64 || dtype == kInt32 || is_mask(term.tensor)) continue;
    throw IndexError("tensors used as indices must be long, int, byte or bool tensors");
  }
}

// On to the next place in C order.
void step(const Dims& sizes, Dims* at) {
  for (std::size_t j = sizes.size(); j > 0; --j) {
    if (++(*at)[j - 1] < sizes[j - 1]) return;
    (*at)[j - 1] = 0;
  }
}

// In C order, the values of an index broadcast to `shape`.
std::vector<std::int64_t> broadcast_values(const std::vector<std::int64_t>& values, const Dims& own,
                                           const Dims& shape) {
  std::vector<std::int64_t> result(static_cast<std::size_t>(checked_numel(shape)));
  copy_strided(contiguous_geometry(shape), reinterpret_cast<std::byte*>(result.data()),
               expand(contiguous_geometry(own), shape), reinterpret_cast<const std::byte*>(values.data()),
               sizeof(std::int64_t));
  return result;
}

}  // namespace

bool is_one_mask(const IndexedView& indexed) { return indexed.terms.size() == 1 && is_mask(indexed.terms[0].tensor); }

void check_first_mask(const IndexedView& indexed) {
  const IndexedView::Term& first = indexed.terms.front();
  if (is_mask(first.tensor)) check_mask(first.tensor, indexed.view, first.dim);
}

Gathering::Gathering(const IndexedView& indexed) : view_(indexed.view) {
  check_dtypes(indexed);
  for (const IndexedView::Term& term : indexed.terms) {
    if (is_mask(term.tensor)) {
      check_mask(term.tensor, view_, term.dim);
      add_mask(term.tensor, term.dim);
    } else {
      indices_.push_back({term.dim, term.tensor.geometry(), values_of(term.tensor), term.tensor.dtype() == kInt32});
    }
  }
  broadcast();
  lay_out();
}

// Where the mask is set: an index for each of its dimensions.
void Gathering::add_mask(const Tensor& mask, std::size_t dim) {
  const Dims& sizes = mask.geometry().sizes;
  const std::size_t begin = indices_.size();
  for (std::size_t j = 0; j < sizes.size(); ++j) indices_.push_back({.dim = dim + j, .geometry = {}, .values = {}});
  Dims at(sizes.size(), 0);
  for (const std::int64_t set : values_of(mask)) {
    if (set != 0) {
      for (std::size_t j = 0; j < sizes.size(); ++j) indices_[begin + j].values.push_back(at[j]);
    }
    step(sizes, &at);
  }
  for (std::size_t i = begin; i < indices_.size(); ++i) {
    DimIndex& index = indices_[i];
    index.geometry = {{static_cast<std::int64_t>(index.values.size())}, {mask.dim()}, 0};
  }
}

void Gathering::broadcast() {
  try {
    for (const DimIndex& index : indices_) shape_ = broadcast_sizes(shape_, index.geometry.sizes);
  } catch (const RuntimeError&) {
    std::string shapes;
    for (const DimIndex& index : indices_) shapes += (shapes.empty() ? "" : ", ") + index.geometry.sizes.to_string();
    throw IndexError("shape mismatch: indexing tensors could not be broadcast together with shapes " + shapes);
  }
  for (const DimIndex& index : indices_) {
    if (checked_numel(shape_) != 0 && view_.sizes()[index.dim] == 0) {
      throw IndexError("index is out of bounds for dimension with size 0");
    }
  }
}

// The dimensions of the indices stand where the indexed ones were, or first where those were not side by side.
void Gathering::lay_out() {
  const std::size_t first = indices_.front().dim;
  const bool is_one_run = indices_.back().dim - first + 1 == indices_.size();
  first_ = is_one_run ? first : 0;
  auto index = indices_.begin();
  for (std::size_t d = 0; d < view_.sizes().size(); ++d) {
    if (index != indices_.end() && index->dim == d) {
      ++index;
    } else {
      sizes_.push_back(view_.sizes()[d]);
      strides_.push_back(view_.strides()[d]);
    }
  }
  for (std::size_t j = shape_.size(); j-- > 0;) {
    sizes_.insert(first_, shape_[j]);
    strides_.insert(first_, 0);
  }
}

Geometry Gathering::rest(const Dims& strides, std::int64_t storage_offset) const {
  Geometry result{{}, {}, storage_offset};
  for (std::size_t d = 0; d < sizes_.size(); ++d) {
    if (!is_rest(d)) continue;
    result.sizes.push_back(sizes_[d]);
    result.strides.push_back(strides[d]);
  }
  return result;
}

// The strides that an index has by dimension of the result.
Dims Gathering::strides_of(const DimIndex& index) const {
  Dims sizes(sizes_.size(), 1);
  std::copy(shape_.begin(), shape_.end(), sizes.begin() + first_);
  const Geometry expanded = expand(index.geometry, shape_);
  Dims strides = view(index.converted ? clone_geometry(expanded) : expanded, sizes).strides;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] != sizes_[d]) strides[d] = 0;
  }
  return strides;
}

Geometry Gathering::result_geometry() const {
  // Operands that are all of one shape and contiguous, as those without elements are, give a contiguous result.
  if (checked_numel(sizes_) == 0 && checked_numel(rest(strides_, 0).sizes) == 1) return contiguous_geometry(sizes_);
  std::vector<Dims> operands{strides_};
  for (const DimIndex& index : indices_) operands.push_back(strides_of(index));
  return elementwise_geometry(sizes_, operands);
}

std::vector<std::int64_t> Gathering::places_in_view() const {
  std::vector<std::vector<std::int64_t>> columns;
  for (const DimIndex& index : indices_) {
    columns.push_back(broadcast_values(index.values, index.geometry.sizes, shape_));
  }
  std::vector<std::int64_t> places(columns.front().size(), 0);
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (std::size_t k = 0; k < indices_.size(); ++k) {
      const std::int64_t size = view_.sizes()[indices_[k].dim];
      const std::int64_t value = columns[k][i];
      if (value < -size || value >= size) {
        throw IndexError("index " + std::to_string(value) + " is out of bounds for dimension " + std::to_string(k) +
                         " with size " + std::to_string(size));
      }
      places[i] += (value < 0 ? value + size : value) * view_.strides()[indices_[k].dim];
    }
  }
  return places;
}

std::vector<std::int64_t> Gathering::places_in(const Dims& strides) const {
  std::vector<std::int64_t> places(static_cast<std::size_t>(checked_numel(shape_)));
  Dims at(shape_.size(), 0);
  std::int64_t next = 0;
  for (std::int64_t& place : places) {
    place = next;
    for (std::size_t j = shape_.size(); j-- > 0;) {
      const std::int64_t stride = strides[first_ + j];
      next += stride;
      if (++at[j] < shape_[j]) break;
      next -= shape_[j] * stride;
      at[j] = 0;
    }
  }
  return places;
}

}  // namespace tensorbroker
