// Basic indexing, tensor[1, 2:8:2, ..., None], on a Geometry.
//
// Pure functions, safe from any thread; results, error classes and messages are torch 2.13's.

#ifndef TENSORBROKER_PROTO_INDEXING_H_
#define TENSORBROKER_PROTO_INDEXING_H_

#include <tensorbroker/geometry.h>
#include <tensorbroker/indexing.h>

#include <span>

namespace tensorbroker {

// The view that `indices` name. IndexError for too many of them or one out of range, InvalidArgumentError for a step
// that is not positive.
Geometry index(const Geometry& geometry, std::span<const Index> indices);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_INDEXING_H_
