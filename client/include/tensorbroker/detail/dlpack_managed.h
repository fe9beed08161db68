// Tensors as DLPack's managed tensors and back, for any structs of DLPack's layout and member names: the
// DLManagedTensor and DLManagedTensorVersioned of whichever header the including adapter found.
//
// Everything here is plain C++: what an export keeps is let go of by its deleter, on any thread.

#ifndef TENSORBROKER_DETAIL_DLPACK_MANAGED_H_
#define TENSORBROKER_DETAIL_DLPACK_MANAGED_H_

#include <tensorbroker/tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace tensorbroker::detail {

// The version that exports say they are of, and whose major part alone is taken.
inline constexpr std::uint32_t kDlpackMajor = 1;
inline constexpr std::uint32_t kDlpackMinor = 1;

inline constexpr std::int32_t kDlpackCpu = 1;
inline constexpr std::int32_t kDlpackCudaHost = 3;  // page-locked memory of the CPU
inline constexpr std::int32_t kDlpackRocmHost = 11;

inline constexpr std::uint64_t kDlpackReadOnly = 1;
inline constexpr std::uint64_t kDlpackCopied = 2;

template <class Managed>
concept DlpackVersioned = requires(Managed managed) {
  managed.version;
  managed.flags;
};

struct NoCompanion {};

// What stands behind a managed tensor that was given out. `companion` is destroyed with it, before the tensor.
template <class Managed, class Companion>
struct DlpackExport {
  DlpackExport(const Tensor& exported, Companion beside)
      : tensor(exported), geometry(exported.geometry()), companion(std::move(beside)) {}

  Tensor tensor;
  Geometry geometry;
  [[no_unique_address]] Companion companion;
  Managed managed;  // every member is set by export_managed
};

// The tensor's memory as it is; the deleter, called once, lets go of it.
template <class Managed, class Companion = NoCompanion>
Managed* export_managed(const Tensor& tensor, std::uint64_t flags, Companion companion = {}) {
  using Export = DlpackExport<Managed, Companion>;
  auto made = std::make_unique<Export>(tensor, std::move(companion));
  auto& array = made->managed.dl_tensor;
  array.data = tensor.numel() == 0 ? nullptr : const_cast<void*>(tensor.const_data());
  array.device.device_type = static_cast<decltype(array.device.device_type)>(kDlpackCpu);
  array.device.device_id = 0;
  array.ndim = static_cast<std::int32_t>(tensor.dim());
  array.dtype.code = info(tensor.dtype()).dlpack_code;
  array.dtype.bits = info(tensor.dtype()).dlpack_bits;
  array.dtype.lanes = 1;
  array.shape = made->geometry.sizes.data();
  array.strides = made->geometry.strides.data();
  array.byte_offset = 0;
  if constexpr (DlpackVersioned<Managed>) {
    made->managed.version.major = kDlpackMajor;
    made->managed.version.minor = kDlpackMinor;
    made->managed.flags = flags;
  }
  made->managed.manager_ctx = made.get();
  made->managed.deleter = [](Managed* managed) { delete static_cast<Export*>(managed->manager_ctx); };
  return &made.release()->managed;
}

// `owner` calls the producer's deleter when its last copy is gone. TypeError, naming it, for a version, device or dtype
// that tensors do not have, InvalidArgumentError for a geometry that they do not have.
template <class Managed>
Tensor import_managed(std::shared_ptr<Managed> owner, bool writable) {
  if constexpr (DlpackVersioned<Managed>) {
    // Of another major version nothing but the deleter may be used.
    if (owner->version.major != kDlpackMajor) {
      throw TypeError("the array comes as DLPack " + std::to_string(owner->version.major) +
                      ", which is not known here; ask for version " + std::to_string(kDlpackMajor));
    }
    writable = writable && (owner->flags & kDlpackReadOnly) == 0;
  }
  const auto& array = owner->dl_tensor;
  const auto device = static_cast<std::int32_t>(array.device.device_type);
  if (device != kDlpackCpu && device != kDlpackCudaHost && device != kDlpackRocmHost) {
    throw TypeError("the array is on another device than the CPU (DLPack device type " + std::to_string(device) +
                    "); copy it to the CPU first");
  }
  if (array.ndim < 0 || (array.ndim > 0 && array.shape == nullptr)) {
    throw TypeError("the DLPack array has " + std::to_string(array.ndim) + " dimensions, or no shape");
  }
  const auto dtype = array.dtype.lanes == 1 ? dtype_from_dlpack(array.dtype.code, array.dtype.bits) : std::nullopt;
  if (!dtype) {
    throw TypeError("DLPack type code " + std::to_string(array.dtype.code) + " of " + std::to_string(array.dtype.bits) +
                    " bits in " + std::to_string(array.dtype.lanes) +
                    " lanes is not a dtype of tensors; convert the array first");
  }
  const std::span<const std::int64_t> sizes(array.shape, static_cast<std::size_t>(array.ndim));
  void* const data = array.data == nullptr ? nullptr : static_cast<std::byte*>(array.data) + array.byte_offset;
  const auto make = [&](auto* first) {
    auto deleter = [owner](void*) mutable { owner.reset(); };
    if (array.strides == nullptr) return from_blob(first, sizes, *dtype, std::move(deleter));
    return from_blob(first, sizes, std::span<const std::int64_t>(array.strides, sizes.size()), *dtype,
                     std::move(deleter));
  };
  return writable ? make(data) : make(static_cast<const void*>(data));
}

}  // namespace tensorbroker::detail

#endif  // TENSORBROKER_DETAIL_DLPACK_MANAGED_H_
