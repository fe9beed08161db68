// Advanced indexing of Tensor: reading gathers a copy, writing scatters.

#include <tensorbroker/tensor.h>

#include <algorithm>
#include <string>
#include <utility>

#include "client/advanced_index.h"
#include "client/strided.h"
#include "client/tensor_memory.h"
#include "proto/geometry.h"
#include "proto/views.h"

namespace tensorbroker {
namespace {

void gather(const Tensor& view, const Gathering& gathering, const Tensor& result) {
  if (result.numel() == 0) return;
  const Dims& strides = result.geometry().strides;
  copy_places(gathering.rest(strides, 0), base_of(result), gathering.places_in(strides), gathering.view_rest(),
              base_of(view), gathering.places_in_view(), view.itemsize());
  check_intact(view);
}

void scatter(const Tensor& view, const Gathering& gathering, const Tensor& value) {
  if (value.numel() == 0) return;
  const Tensor source = are_apart(view, value) ? value : value.clone();
  const Dims& strides = source.geometry().strides;
  copy_places(gathering.view_rest(), base_of(view), gathering.places_in_view(),
              gathering.rest(strides, source.storage_offset()), base_of(source), gathering.places_in(strides),
              view.itemsize());
  check_intact(source);
  check_intact(view);
}

// Without the leading dimensions of size 1, which assignment does not mind.
Tensor trimmed(const Tensor& value) {
  const auto sizes = value.sizes();
  const auto first = std::find_if(sizes.begin(), sizes.end(), [](std::int64_t size) { return size != 1; });
  return value.view(sizes.subspan(static_cast<std::size_t>(first - sizes.begin())));
}

void copy_to(const Tensor& view, const Tensor& value) {
  if (view.geometry().sizes == value.geometry().sizes) {
    view.copy_(value);
  } else if (value.dim() == 0) {
    view.copy_(value.clone());
  } else {
    view.copy_(trimmed(value).expand(view.sizes()));
  }
}

Tensor expanded_value(const Tensor& value, const Gathering& gathering) {
  const Tensor source = trimmed(value);
  try {
    return source.expand(gathering.sizes());
  } catch (const RuntimeError&) {
    throw RuntimeError("shape mismatch: value tensor of shape " + source.geometry().sizes.to_string() +
                       " cannot be broadcast to indexing result of shape " + gathering.sizes().to_string());
  }
}

void check_fillable(const Tensor& mask) {
  if (mask.dtype() == kBool) return;
  throw RuntimeError("masked_fill_ only supports boolean masks, but got mask with dtype unsigned char");
}

// One number in all the places of a mask: converted as fill_() converts, whatever its dtype.
Tensor filling_value(const Tensor& view, const Tensor& value) {
  const Tensor filling = new_tensor(contiguous_geometry({}), view.dtype());
  return filling.fill_(value.item());
}

}  // namespace

Tensor Tensor::index(std::span<const TensorIndex> indices) const {
  const IndexedView indexed = apply_terms(*this, indices);
  if (indexed.terms.empty()) return indexed.view;
  const Gathering gathering(indexed);
  Tensor result = new_tensor(gathering.result_geometry(), dtype_);
  gather(indexed.view, gathering, result);
  return result;
}

const Tensor& Tensor::index_put_(std::span<const TensorIndex> indices, const Tensor& value) const {
  data();
  const IndexedView indexed = apply_terms(*this, indices);
  if (indexed.terms.empty()) {
    copy_to(indexed.view, value);
    return *this;
  }
  if (value.numel() == 1) check_first_mask(indexed);
  const bool fills = is_one_mask(indexed) && value.numel() == 1;
  if (!fills) check_no_overlap(indexed.view, value);
  const Gathering gathering(indexed);
  if (fills) check_fillable(indexed.terms[0].tensor);
  const Tensor source = expanded_value(fills ? filling_value(indexed.view, value) : value, gathering);
  if (source.dtype() != dtype_) {
    throw RuntimeError("Index put requires the source and destination dtypes match, got " +
                       std::string(info(dtype_).scalar_type) + " for the destination and " +
                       std::string(info(value.dtype()).scalar_type) + " for the source.");
  }
  scatter(indexed.view, gathering, source);
  return *this;
}

}  // namespace tensorbroker
