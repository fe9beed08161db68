// Indices that are tensors, resolved to places in memory: what advanced indexing gathers from and scatters to.
//
// Everything here is as torch 2.13 has it: which terms name how many dimensions, masks, broadcasting, where the indexed
// dimensions come to stand, the strides of a result, errors. Pure functions; safe from any thread.

#ifndef TENSORBROKER_CLIENT_ADVANCED_INDEX_H_
#define TENSORBROKER_CLIENT_ADVANCED_INDEX_H_

#include <tensorbroker/tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tensorbroker {

// The view that the plain terms of an index leave, and the tensors among its terms.
struct IndexedView {
  // A tensor of integers for dimension `dim` of the view, or a mask for as many dimensions from there as it has.
  struct Term {
    std::size_t dim;
    Tensor tensor;
  };

  Tensor view;
  std::vector<Term> terms;  // none: basic indexing, and the view is all
};

// IndexError for too many terms, or a plain one out of range.
IndexedView apply_terms(const Tensor& tensor, std::span<const TensorIndex> terms);

// Whether the tensors are one mask: assignment then fills, and converts the value.
bool is_one_mask(const IndexedView& indexed);

// What torch looks at first where one value is assigned: IndexError for a mask of another shape, if the first of the
// tensors is one.
void check_first_mask(const IndexedView& indexed);

// The elements that index tensors name, as a tensor of `sizes`: dimensions of the view, those of the (broadcast) index
// tensors, and dimensions of the view again.
class Gathering {
 public:
  // IndexError for an index tensor of another dtype, a mask of another shape, and shapes that do not broadcast.
  explicit Gathering(const IndexedView& indexed);

  const Dims& sizes() const noexcept { return sizes_; }
  // Where torch lays the elements when they are read.
  Geometry result_geometry() const;

  // What is copied for each index: a tensor of `sizes` with these strides, without the dimensions of the indices.
  Geometry rest(const Dims& strides, std::int64_t storage_offset) const;
  // The same of the view.
  Geometry view_rest() const { return rest(strides_, view_.storage_offset()); }

  // By index in C order, how many elements from its start those of the view, or of a tensor of `sizes` with these
  // strides, begin. IndexError for an index out of range. REQUIRES: elements at all.
  std::vector<std::int64_t> places_in_view() const;
  std::vector<std::int64_t> places_in(const Dims& strides) const;

 private:
  // A tensor of integers for one dimension.
  struct DimIndex {
    std::size_t dim;
    Geometry geometry;                 // as torch would hold them: its strides decide on those of the result
    std::vector<std::int64_t> values;  // in C order
    bool converted = false;            // from int32, which torch does after broadcasting
  };

  void add_mask(const Tensor& mask, std::size_t dim);
  void broadcast();
  void lay_out();
  bool is_rest(std::size_t d) const noexcept { return d < first_ || d >= first_ + shape_.size(); }
  Dims strides_of(const DimIndex& index) const;

  Tensor view_;
  std::vector<DimIndex> indices_;
  Dims shape_;             // of the indices, broadcast
  Dims sizes_;             // of all
  Dims strides_;           // of the view, by dimension of `sizes_`; 0 for those of the indices
  std::size_t first_ = 0;  // dimension of the indices
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_ADVANCED_INDEX_H_
