#include <tensorbroker/error.h>

#include <memory>
#include <string>
#include <utility>

#include "client/storage.h"
#include "python/src/dlpack.h"
#include "python/src/dlpack_abi.h"
#include "python/src/exports.h"
#include "python/src/gil.h"
#include "python/src/memory.h"

namespace tensorbroker::python {
namespace {

// What stands behind a capsule. Pure C++: freed by whoever consumed it, wherever.
template <class Managed>
struct Export {
  explicit Export(const Tensor& exported) : tensor(exported), noted(!is_private(exported)) {
    if (noted) note_export(tensor.storage().get());
  }
  ~Export() {
    if (noted) forget_export(tensor.storage().get());
  }
  Export(const Export&) = delete;
  Export& operator=(const Export&) = delete;

  static bool is_private(const Tensor& tensor) { return tensor.storage()->kind() == detail::StorageKind::kPrivate; }

  Tensor tensor;
  Dims sizes, strides;
  Managed managed{};
  const bool noted;
};

template <class Managed>
void delete_export(Managed* managed) {
  delete static_cast<Export<Managed>*>(managed->context);
}

// Whoever takes a capsule's content renames the capsule; one that nobody took is freed with it.
template <class Managed>
void release_capsule(PyObject* capsule) {
  const char* name = std::is_same_v<Managed, dlpack::Legacy> ? dlpack::kLegacyName : dlpack::kVersionedName;
  if (PyCapsule_IsValid(capsule, name) == 0) return;
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
  managed->deleter(managed);
}

void describe(const Tensor& tensor, Dims* sizes, Dims* strides, dlpack::Array* array) {
  *sizes = Dims(tensor.sizes());
  *strides = Dims(tensor.strides());
  const DTypeInfo& row = info(tensor.dtype());
  array->data = tensor.numel() == 0 ? nullptr : const_cast<void*>(tensor.const_data());
  array->device = {dlpack::kCpu, 0};
  array->ndim = static_cast<std::int32_t>(sizes->size());
  array->dtype = {row.dlpack_code, row.dlpack_bits, 1};
  array->shape = sizes->data();
  array->strides = strides->data();
  array->byte_offset = 0;
}

template <class Managed>
std::unique_ptr<Export<Managed>> make_export(const Tensor& tensor) {
  auto made = std::make_unique<Export<Managed>>(tensor);
  describe(made->tensor, &made->sizes, &made->strides, &made->managed.array);
  made->managed.context = made.get();
  made->managed.deleter = &delete_export<Managed>;
  return made;
}

template <class Managed>
py::object new_capsule(std::unique_ptr<Export<Managed>> made, const char* name) {
  PyObject* capsule = PyCapsule_New(&made->managed, name, &release_capsule<Managed>);
  if (capsule == nullptr) throw py::error_already_set();
  made.release();
  return py::reinterpret_steal<py::object>(capsule);
}

bool wants_versioned(py::handle max_version) {
  return !max_version.is_none() && py::cast<int>(py::reinterpret_borrow<py::tuple>(max_version)[0]) >= 1;
}

void check_device(py::handle device) {
  if (device.is_none() || py::cast<int>(py::reinterpret_borrow<py::tuple>(device)[0]) == dlpack::kCpu) return;
  throw py::buffer_error("tensors lie in the memory of the CPU; move what you get from there to the device");
}

}  // namespace

Tensor exportable(const Tensor& tensor) {
  if (tensor.is_writable()) return tensor;
  if (tensor.is_sealed()) {
    const NoGil no_gil;
    return over_private_pages(tensor);
  }
  throw ReadOnlyError(
      "this tensor may change but was opened \"r\", and torch and DLPack know no read-only memory: open it with mode "
      "\"r+\" to share its memory or \"c\" for private pages, or call .clone()");
}

py::object make_capsule(const Tensor& tensor, bool versioned, std::uint64_t flags) {
  if (!versioned) return new_capsule(make_export<dlpack::Legacy>(tensor), dlpack::kLegacyName);
  auto made = make_export<dlpack::Versioned>(tensor);
  made->managed.version = {dlpack::kMajor, dlpack::kMinor};
  made->managed.flags = flags;
  return new_capsule(std::move(made), dlpack::kVersionedName);
}

py::object export_dlpack(const Tensor& tensor, py::handle max_version, py::handle dl_device, py::handle copy) {
  check_device(dl_device);
  const bool versioned = wants_versioned(max_version);
  if (!copy.is_none() && py::cast<bool>(copy)) return make_capsule(clone(tensor), versioned, dlpack::kCopiedFlag);
  try {
    const Tensor exported = exportable(tensor);
    const bool sealed = !tensor.is_writable();
    const bool copied = sealed && tensor.numel() != 0 && tensor.storage()->nbytes() < kPageAlignedBlock;
    if (copied && !copy.is_none()) {
      throw py::buffer_error(
          "a sealed tensor below 64 KiB is given out as a copy, which copy=False forbids: call .numpy() for a "
          "read-only array of its own memory");
    }
    return make_capsule(exported, versioned, sealed ? dlpack::kReadOnlyFlag : 0);
  } catch (const ReadOnlyError& error) {
    throw py::buffer_error(error.what());
  }
}

}  // namespace tensorbroker::python
