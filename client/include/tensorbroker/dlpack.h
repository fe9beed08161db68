// Tensors to and from DLPack (https://dmlc.github.io/dlpack), for every library that speaks it. Header-only, included
// on request; wants DLPack's own header on the include path, as <dlpack/dlpack.h> or as torch's <ATen/dlpack.h>.
//
// Nothing is copied, but for sealed tensors below 64 KiB: to_dlpack gives what Tensor::exportable() does, so that a
// consumer that ignores the read-only flag (torch does) spoils nobody's bytes. A managed tensor keeps the memory until
// its deleter is called, by whoever took it, once, on any thread; that may be long after the client is gone.
// Thread safe as Tensor is.

#ifndef TENSORBROKER_DLPACK_H_
#define TENSORBROKER_DLPACK_H_

#if !defined(DLPACK_VERSION) && !defined(DLPACK_MAJOR_VERSION)
#if __has_include(<dlpack/dlpack.h>)
#include <dlpack/dlpack.h>
#elif __has_include(<ATen/dlpack.h>)
#include <ATen/dlpack.h>
#else
#error "tensorbroker/dlpack.h needs DLPack's header, <dlpack/dlpack.h> or torch's <ATen/dlpack.h>, on the include path"
#endif
#endif

#include <tensorbroker/detail/dlpack_managed.h>

#include <cstdint>
#include <memory>

namespace tensorbroker {

// The legacy form, which cannot say that it is read-only. ReadOnlyError as exportable().
inline DLManagedTensor* to_dlpack(const Tensor& tensor) {
  return detail::export_managed<DLManagedTensor>(tensor.exportable(), 0);
}

// A tensor over the managed tensor's memory. Takes it over: its deleter is called when the last view is gone, and also
// where this throws: TypeError for a device or dtype that tensors do not have, InvalidArgumentError for negative
// strides or an overflow. It is taken to be writable, as torch does; a legacy one cannot say otherwise.
inline Tensor from_dlpack(DLManagedTensor* managed) {
  std::shared_ptr<DLManagedTensor> owner(managed, [](DLManagedTensor* done) {
    if (done->deleter != nullptr) done->deleter(done);
  });
  return detail::import_managed(std::move(owner), true);
}

#ifdef DLPACK_MAJOR_VERSION
// The form of DLPack 1: flagged read-only where the tensor is sealed.
inline DLManagedTensorVersioned* to_dlpack_versioned(const Tensor& tensor) {
  const std::uint64_t flags = tensor.is_writable() ? 0 : DLPACK_FLAG_BITMASK_READ_ONLY;
  return detail::export_managed<DLManagedTensorVersioned>(tensor.exportable(), flags);
}

// The same as from_dlpack of a legacy one; read-only where the flags say so. TypeError for another major version.
inline Tensor from_dlpack(DLManagedTensorVersioned* managed) {
  std::shared_ptr<DLManagedTensorVersioned> owner(managed, [](DLManagedTensorVersioned* done) {
    if (done->deleter != nullptr) done->deleter(done);
  });
  return detail::import_managed(std::move(owner), true);
}
#endif

}  // namespace tensorbroker

#endif  // TENSORBROKER_DLPACK_H_
