#include "client/tensor_memory.h"

#include <algorithm>
#include <utility>

#include "client/storage.h"
#include "client/strided.h"
#include "proto/geometry.h"

namespace tensorbroker {
namespace {

std::uintptr_t begin_of(const Tensor& tensor) { return reinterpret_cast<std::uintptr_t>(tensor.const_data()); }

std::uintptr_t end_of(const Tensor& tensor) {
  return begin_of(tensor) + static_cast<std::uintptr_t>(checked_reach(tensor.geometry(), tensor.itemsize()));
}

enum class Overlap : std::uint8_t { kNone, kPartial, kFull, kUnknown };

// As far as torch looks: tensors that are not dense may or may not share elements.
Overlap overlap(const Tensor& a, const Tensor& b) {
  if (a.numel() == 0 || b.numel() == 0) return Overlap::kNone;
  if (!is_non_overlapping_and_dense(a.geometry()) || !is_non_overlapping_and_dense(b.geometry())) {
    return Overlap::kUnknown;
  }
  if (end_of(a) <= begin_of(b) || end_of(b) <= begin_of(a)) return Overlap::kNone;
  const bool alike =
      begin_of(a) == begin_of(b) && end_of(a) == end_of(b) && std::ranges::equal(a.strides(), b.strides());
  return alike ? Overlap::kFull : Overlap::kPartial;
}

[[noreturn]] void refuse_overlap() {
  throw RuntimeError(
      "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
      "location. Please clone() the tensor before performing the operation.");
}

}  // namespace

std::byte* base_of(const Tensor& tensor) {
  if (tensor.numel() == 0) return tensor.storage()->data();
  auto* first = const_cast<std::byte*>(static_cast<const std::byte*>(tensor.const_data()));
  return first - tensor.storage_offset() * static_cast<std::int64_t>(tensor.itemsize());
}

bool are_apart(const Tensor& a, const Tensor& b) {
  if (a.numel() == 0 || b.numel() == 0) return true;
  return end_of(a) <= begin_of(b) || end_of(b) <= begin_of(a);
}

void check_intact(const Tensor& tensor) { tensor.storage()->check_usable(); }

Tensor new_tensor(Geometry geometry, DType dtype) {
  const auto bytes = static_cast<std::size_t>(checked_nbytes(geometry.sizes, itemsize(dtype)));
  detail::StorageRef storage = detail::Storage::heap(bytes);
  std::byte* data = storage->data();
  return Tensor(std::move(storage), data, dtype, std::move(geometry));
}

void copy_into(const Tensor& to, const Tensor& from) {
  if (to.numel() == 0) return;
  const Tensor source = are_apart(to, from) ? from : from.clone();
  copy_convert(to.geometry(), to.dtype(), base_of(to), source.geometry(), source.dtype(), base_of(source));
  check_intact(source);
  check_intact(to);
}

void check_no_internal_overlap(const Tensor& written) {
  if (is_non_overlapping_and_dense(written.geometry())) return;
  for (std::size_t d = 0; d < written.sizes().size(); ++d) {
    if (written.strides()[d] != 0 || written.sizes()[d] < 2) continue;
    throw RuntimeError(
        "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
        "Please clone() the tensor before performing the operation.");
  }
}

void check_no_partial_overlap(const Tensor& written, const Tensor& read) {
  if (overlap(written, read) == Overlap::kPartial) refuse_overlap();
}

void check_no_overlap(const Tensor& written, const Tensor& read) {
  const Overlap found = overlap(written, read);
  if (found == Overlap::kPartial || found == Overlap::kFull) refuse_overlap();
}

}  // namespace tensorbroker
