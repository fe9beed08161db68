// Where the members of a bundle lie in its block: each on 256 bytes, tied members on the same bytes.
//
// Members are tied when the memory that they reach overlaps: the same tensor under two names, a matrix and its
// transpose, a tensor and a slice of it. Those are laid out as they lie at the source, so that they overlap in the
// block in the same way; every other member is laid out as torch's clone would. (Views that are merely interleaved in a
// much larger tensor are not tied.) Pure; thread safe for members that nobody writes.

#ifndef TENSORBROKER_CLIENT_BUNDLE_LAYOUT_H_
#define TENSORBROKER_CLIENT_BUNDLE_LAYOUT_H_

#include <tensorbroker/bundle.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "proto/header.h"

namespace tensorbroker {

struct BundleLayout {
  std::vector<TensorSpec> specs;  // in the order of the members
  std::vector<bool> copied;       // whether the member's bytes are its own to copy: others lie in a copied one
  std::uint64_t bytes = 0;        // of the block, without padding at its end
};

// With a dtype for those that are to be converted to it; of them only the same view under several names is tied.
// Throws InvalidArgumentError where a member is undefined or the sizes of all overflow, RuntimeError where those of one
// do.
BundleLayout lay_out_bundle(std::span<const Bundle::Member> members, std::optional<DType> dtype);

// Copies every element of the members to its place in `block`, each once where it is not tied in part.
void copy_bundle(std::span<const Bundle::Member> members, const BundleLayout& layout, std::byte* block);

bool has_negative_stride(const Geometry& geometry);  // as some sources of copies have, and no tensor

// The geometry of a sealed copy of `tensor`: its own strides where it is dense and does not overlap, else C order.
Geometry sealed_geometry(const Tensor& tensor);

// Copies the elements of `from` in one pass, converted as Tensor::to does, as a part of `together` bytes (bulk_copy.h).
// REQUIRES: equal sizes, and no overlap.
void copy_elements(const Tensor& from, const Geometry& to, DType to_dtype, std::byte* to_storage,
                   std::size_t together = 0);

// What describes a tensor of this geometry whose storage begins `offset` bytes into a block.
TensorSpec make_spec(std::string name, DType dtype, const Geometry& geometry, std::uint64_t offset);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_BUNDLE_LAYOUT_H_
