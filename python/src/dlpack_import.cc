#include <tensorbroker/error.h>

#include <memory>
#include <string>
#include <utility>

#include "client/storage.h"
#include "proto/geometry.h"
#include "python/src/dlpack.h"
#include "python/src/dlpack_abi.h"
#include "python/src/errors.h"
#include "python/src/memory.h"

namespace tensorbroker::python {
namespace {

// Calls the producer's deleter when dropped. The producer says that it may be called from any thread; one written in
// Python sees to the GIL itself.
template <class Managed>
std::shared_ptr<Managed> owned(Managed* managed) {
  return std::shared_ptr<Managed>(managed, [](Managed* done) {
    if (done->deleter != nullptr) done->deleter(done);
  });
}

Geometry geometry_of(const dlpack::Array& array) {
  Geometry geometry;
  for (std::int32_t d = 0; d < array.ndim; ++d) geometry.sizes.push_back(array.shape[d]);
  if (array.strides == nullptr) return contiguous_geometry(geometry.sizes);
  const bool empty = checked_numel(geometry.sizes) == 0;
  for (std::int32_t d = 0; d < array.ndim; ++d) {
    const bool matters = array.shape[d] > 1 && !empty;
    if (array.strides[d] < 0 && matters)
      throw TypeError("tensors have no negative strides; make a copy of the array first");
    geometry.strides.push_back(array.strides[d] < 0 ? 1 : array.strides[d]);
  }
  return geometry;
}

DType dtype_of(const dlpack::DataType& type) {
  const auto dtype = type.lanes == 1 ? dtype_from_dlpack(type.code, type.bits) : std::nullopt;
  if (!dtype) {
    throw TypeError("DLPack type code " + std::to_string(type.code) + " of " + std::to_string(type.bits) + " bits in " +
                    std::to_string(type.lanes) + " lanes is not a dtype of tensors; convert the array first");
  }
  return *dtype;
}

template <class Managed>
Tensor take(std::shared_ptr<Managed> owner, bool writable) {
  const dlpack::Array& array = owner->array;
  if (array.device.type != dlpack::kCpu) {
    throw TypeError("the array is on another device than the CPU; copy it to the CPU first");
  }
  if (array.ndim < 0) throw TypeError("the DLPack array has a negative number of dimensions");
  const DType dtype = dtype_of(array.dtype);
  Geometry geometry = geometry_of(array);
  const std::size_t bytes = reach(geometry, dtype);
  void* data = bytes == 0 ? nullptr : static_cast<std::byte*>(array.data) + array.byte_offset;
  auto storage =
      detail::Storage::foreign(data, bytes, writable, [owner = std::move(owner)](void*) mutable { owner.reset(); });
  std::byte* base = storage->data();
  return Tensor(std::move(storage), base, dtype, std::move(geometry));
}

template <class Managed>
std::shared_ptr<Managed> consume(const py::object& capsule, const char* name, const char* used) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), name));
  if (managed == nullptr || PyCapsule_SetName(capsule.ptr(), used) != 0) throw py::error_already_set();
  return owned(managed);
}

py::object call_dlpack(py::handle object) {
  const py::object method = object.attr("__dlpack__");
  try {
    return method(py::arg("max_version") = py::make_tuple(dlpack::kMajor, dlpack::kMinor));
  } catch (py::error_already_set& error) {
    // Producers from before DLPack 1.0 do not know the argument.
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return method();
}

}  // namespace

Tensor import_dlpack(py::handle object) {
  const py::object capsule = call_dlpack(object);
  if (PyCapsule_IsValid(capsule.ptr(), dlpack::kVersionedName) != 0) {
    auto managed = consume<dlpack::Versioned>(capsule, dlpack::kVersionedName, dlpack::kVersionedUsed);
    // Of another major version nothing but the deleter may be used.
    if (managed->version.major != dlpack::kMajor) {
      throw TypeError("the array comes as DLPack " + std::to_string(managed->version.major) +
                      ", which is not known here");
    }
    const bool writable = (managed->flags & dlpack::kReadOnlyFlag) == 0;
    return take(std::move(managed), writable);
  }
  if (PyCapsule_IsValid(capsule.ptr(), dlpack::kLegacyName) == 0) {
    throw TypeError(type_name(object) + ".__dlpack__() gave no DLPack capsule that is still to be had");
  }
  return take(consume<dlpack::Legacy>(capsule, dlpack::kLegacyName, dlpack::kLegacyUsed), true);
}

}  // namespace tensorbroker::python
