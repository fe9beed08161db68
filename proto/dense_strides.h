// Which strides torch gives to what it allocates for a result: dense, in the order of dimensions of the operands.
//
// Pure functions, safe from any thread.

#ifndef TENSORBROKER_PROTO_DENSE_STRIDES_H_
#define TENSORBROKER_PROTO_DENSE_STRIDES_H_

#include <tensorbroker/geometry.h>

#include <span>

namespace tensorbroker {

// The geometry of a fresh copy, as torch.clone and torch.empty_like lay it out: the same strides where the source is
// dense and does not overlap, else dense ones in the source's order of dimensions; the offset is 0.
Geometry clone_geometry(const Geometry& geometry);

// The geometry of the result of an element-wise operation over operands that were broadcast to `sizes`. Each of
// `operands` has one stride for each size, 0 where it was broadcast.
Geometry elementwise_geometry(const Dims& sizes, std::span<const Dims> operands);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_DENSE_STRIDES_H_
