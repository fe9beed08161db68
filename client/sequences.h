// The elements of torch's arange, linspace and eye, written to contiguous memory at `data`.
//
// Safe from any thread for memory that nobody else uses. Computed in float64 and rounded once; integers up to 2^53 are
// torch's exactly, and floats as near as the last bits of torch's own depend on the machine's vectors.

#ifndef TENSORBROKER_CLIENT_SEQUENCES_H_
#define TENSORBROKER_CLIENT_SEQUENCES_H_

#include <tensorbroker/dtype.h>
#include <tensorbroker/scalar.h>

#include <cstddef>
#include <cstdint>

namespace tensorbroker {

// From start by steps up to, but without, end.
struct Range {
  Scalar start;
  Scalar end;
  Scalar step;
};

// How many elements arange has. RuntimeError, or InvalidArgumentError for a step that the dtype cuts off to 0, in
// torch's words: for bounds that are not finite, a step of 0 or away from the end, and too many elements.
// REQUIRES: a dtype of integers or real floats; real numbers.
std::int64_t arange_size(const Range& range, DType dtype);
void write_arange(const Range& range, DType dtype, std::byte* data, std::int64_t count);

// `count` elements evenly spaced from `start` to `end`, which is the last one. RuntimeError where the dtype does not
// hold the bounds; one element is `start`, whatever the end is. REQUIRES: count > 0.
void write_linspace(const Scalar& start, const Scalar& end, DType dtype, std::byte* data, std::int64_t count);

// 1 where row and column are the same, else 0.
void write_eye(std::int64_t rows, std::int64_t columns, DType dtype, std::byte* data);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_SEQUENCES_H_
