// The terms of an index, taken one by one: apply_terms() of client/advanced_index.h.

#include <tensorbroker/error.h>

#include <algorithm>
#include <string>
#include <utility>

#include "client/advanced_index.h"
#include "client/scalar.h"
#include "client/tensor_memory.h"
#include "proto/geometry.h"
#include "proto/indexing.h"

namespace tensorbroker {
namespace {

template <class... Visits>
struct Overloaded : Visits... {
  using Visits::operator()...;
};
template <class... Visits>
Overloaded(Visits...) -> Overloaded<Visits...>;

bool is_mask(const Tensor& tensor) { return tensor.dtype() == kBool || tensor.dtype() == kUInt8; }

bool is_integral(const Tensor& tensor) {
  const DTypeKind kind = info(tensor.dtype()).kind;
  return kind == DTypeKind::kBool || kind == DTypeKind::kSigned || kind == DTypeKind::kUnsigned;
}

// How many dimensions the term names.
std::int64_t named_by(const TensorIndex& term) {
  return std::visit(
      Overloaded{[](std::int64_t) { return std::int64_t{1}; }, [](const Slice&) { return std::int64_t{1}; },
                 [](const Tensor& tensor) { return is_mask(tensor) ? tensor.dim() : 1; },
                 [](const auto&) { return std::int64_t{0}; }},
      term);
}

std::optional<std::vector<Index>> plain_terms(std::span<const TensorIndex> terms) {
  std::vector<Index> plain;
  for (const TensorIndex& term : terms) {
    const bool is_plain = std::visit(Overloaded{[](const Tensor&) { return false; }, [](bool) { return false; },
                                                [&](const auto& item) {
                                                  plain.emplace_back(item);
                                                  return true;
                                                }},
                                     term);
    if (!is_plain) return std::nullopt;
  }
  return plain;
}

// The index of a dimension of size 1 that keeps it, or leaves nothing of it.
Tensor one_or_none(bool one) {
  const Tensor index = new_tensor(contiguous_geometry(Dims{one ? 1 : 0}), kInt64);
  return index.zero_();
}

// Applies the terms to a view, one by one.
class Walker {
 public:
  Walker(const Tensor& tensor, std::int64_t named)
      : indexed_{tensor, {}}, skipped_by_ellipsis_(static_cast<std::size_t>(tensor.dim() - named)) {}

  void take(const TensorIndex& term, std::size_t position) {
    std::visit(
        Overloaded{[&](std::int64_t value) { take_integer(value, position); }, [&](bool value) { take_bool(value); },
                   [&](const Slice& slice) { indexed_.view = at_dim(slice, dim_++); },
                   [&](const Ellipsis&) { dim_ += skipped_by_ellipsis_; }, [&](const NewAxis&) { new_axis(dim_++); },
                   [&](const Tensor& tensor) { take_tensor(tensor, position); }},
        term);
  }

  IndexedView finish() && { return std::move(indexed_); }

 private:
  // The index with `item` for dimension `dim` and everything of those before.
  Tensor at_dim(const Index& item, std::size_t dim) const {
    std::vector<Index> plain(dim, Slice{});
    plain.push_back(item);
    return indexed_.view.index(plain);
  }

  void new_axis(std::size_t dim) { indexed_.view = indexed_.view.unsqueeze(static_cast<std::int64_t>(dim)); }

  void take_integer(std::int64_t value, std::size_t position) {
    const std::int64_t size = indexed_.view.size(static_cast<std::int64_t>(dim_));
    if (value < -size || value >= size) {
      throw IndexError("index " + std::to_string(value) + " is out of bounds for dimension " +
                       std::to_string(position) + " with size " + std::to_string(size));
    }
    indexed_.view = indexed_.view.select(static_cast<std::int64_t>(dim_), value);
  }

  void take_bool(bool value) {
    new_axis(dim_);
    indexed_.terms.push_back({dim_++, one_or_none(value)});
  }

  void take_tensor(const Tensor& tensor, std::size_t position) {
    if (tensor.dim() == 0 && is_mask(tensor)) return take_bool(to_double(tensor.item()) != 0);
    if (tensor.dim() == 0 && is_integral(tensor)) {
      const Tensor number = tensor.to(kInt64);
      return take_integer(std::get<std::int64_t>(number.item()), position);
    }
    const std::size_t end = dim_ + (is_mask(tensor) ? tensor.sizes().size() : 1);
    // A second ellipsis skips as much as the first one.
    if (end > indexed_.view.sizes().size()) {
      throw IndexError("too many indices for tensor of dimension " + std::to_string(indexed_.view.dim()) + " (got " +
                       std::to_string(dim_ + 1) + ")");
    }
    indexed_.terms.push_back({dim_, tensor});
    dim_ = end;
  }

  IndexedView indexed_;
  std::size_t skipped_by_ellipsis_;
  std::size_t dim_ = 0;
};

}  // namespace

IndexedView apply_terms(const Tensor& tensor, std::span<const TensorIndex> terms) {
  if (const auto plain = plain_terms(terms)) return {tensor.index(*plain), {}};
  std::int64_t named = 0;
  for (const TensorIndex& term : terms) named += named_by(term);
  if (named > tensor.dim()) {
    throw IndexError("too many indices for tensor of dimension " + std::to_string(tensor.dim()));
  }
  Walker walker(tensor, named);
  for (std::size_t position = 0; position < terms.size(); ++position) walker.take(terms[position], position);
  return std::move(walker).finish();
}

}  // namespace tensorbroker
