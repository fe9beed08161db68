#include "python/src/array.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "client/storage.h"
#include "proto/geometry.h"
#include "python/src/buffer.h"
#include "python/src/dtypes.h"
#include "python/src/errors.h"
#include "python/src/exports.h"
#include "python/src/memory.h"
#include "python/src/numpy_api.h"

namespace tensorbroker::python {
namespace {

constexpr const char* kCapsuleName = "tensorbroker.storage";

// Where the elements of an empty tensor would be: NumPy takes a null pointer as an order to allocate.
alignas(64) std::byte g_nowhere[64];

void release_capsule(PyObject* capsule) {
  detail::release(static_cast<detail::Storage*>(PyCapsule_GetPointer(capsule, kCapsuleName)));
}

PyArrayObject* as_array(py::handle array) { return reinterpret_cast<PyArrayObject*>(array.ptr()); }

[[noreturn]] void refuse_dtype(py::handle array) {
  const py::object dtype = array.attr("dtype");
  const char kind = py::cast<std::string>(dtype.attr("kind"))[0];
  const std::string what = "can't convert np.ndarray of type " + py::cast<std::string>(py::str(dtype)) + ": ";
  switch (kind) {
    case 'O':
      throw TypeError(what +
                      "tensors hold numbers, not objects; convert the array first, for example with "
                      ".astype(np.float32), or put each array under its own name");
    case 'S':
    case 'U':
    case 'T':
      throw TypeError(what + "tensors hold no text; keep text in the metadata");
    case 'M':
    case 'm':
      throw TypeError(what + "tensors hold no dates; call .view(np.int64) first");
    case 'V':
      throw TypeError(what + "tensors hold no records; put each field under its own name");
    default:
      throw TypeError(what + "convert it first, for example with .astype(np.float64)");
  }
}

void check_unmasked(py::handle array) {
  if (PyArray_CheckExact(array.ptr())) return;
  // Where numpy.ma was never loaded, nothing is masked.
  const py::handle masks = PyDict_GetItemString(PyImport_GetModuleDict(), "numpy.ma");
  if (masks && py::isinstance(array, masks.attr("MaskedArray"))) {
    throw TypeError("a " + type_name(array) + " would lose its mask; call .filled() first");
  }
}

enum class Backwards : std::uint8_t { kRefused, kTaken };

// The array's geometry in elements; nullopt where strides are negative or no multiple of the element.
std::optional<Geometry> geometry_of(PyArrayObject* array, Backwards backwards = Backwards::kRefused) {
  const auto item = static_cast<std::int64_t>(PyArray_ITEMSIZE(array));
  const bool empty = PyArray_SIZE(array) == 0;
  Geometry geometry;
  for (int d = 0; d < PyArray_NDIM(array); ++d) {
    const std::int64_t size = PyArray_DIM(array, d);
    const std::int64_t stride = PyArray_STRIDE(array, d);
    const bool fits = (stride >= 0 || backwards == Backwards::kTaken) && stride % item == 0;
    if (!fits && size > 1 && !empty) return std::nullopt;
    geometry.sizes.push_back(size);
    geometry.strides.push_back(fits ? stride / item : 1);
  }
  return geometry;
}

Tensor alias_array(py::handle array, DType dtype, Geometry geometry) {
  const bool writable = PyArray_ISWRITEABLE(as_array(array));
  return alias(PyArray_DATA(as_array(array)), dtype, std::move(geometry), writable,
               py::reinterpret_borrow<py::object>(array));
}

// The same where strides may be negative: the storage begins with the element that lies first.
Tensor alias_backwards(py::handle array, DType dtype, Geometry geometry) {
  Geometry forwards = geometry;
  for (std::size_t d = 0; d < geometry.sizes.size(); ++d) {
    if (geometry.strides[d] >= 0) continue;
    forwards.strides[d] = -geometry.strides[d];
    geometry.storage_offset += (geometry.sizes[d] - 1) * forwards.strides[d];
  }
  auto* const first = static_cast<std::byte*>(PyArray_DATA(as_array(array)));
  const Tensor whole = alias(first - geometry.storage_offset * static_cast<std::int64_t>(itemsize(dtype)), dtype,
                             std::move(forwards), false, py::reinterpret_borrow<py::object>(array));
  return Tensor(whole.storage(), whole.storage()->data(), dtype, std::move(geometry));
}

// In this machine's order of bytes.
py::object native(py::handle array) {
  check_unmasked(array);
  if (PyArray_ISNOTSWAPPED(as_array(array))) return py::reinterpret_borrow<py::object>(array);
  return array.attr("astype")(array.attr("dtype").attr("newbyteorder")("="));
}

DType checked_dtype(py::handle array) {
  const auto dtype = dtype_from_numpy(reinterpret_cast<PyObject*>(PyArray_DESCR(as_array(array))));
  if (!dtype) refuse_dtype(array);
  return *dtype;
}

// The storage of this package that the array's chain of bases leads to.
detail::StorageRef storage_behind(py::handle array) {
  PyObject* object = array.ptr();
  while (object != nullptr) {
    if (PyCapsule_IsValid(object, kCapsuleName) != 0) {
      auto* storage = static_cast<detail::Storage*>(PyCapsule_GetPointer(object, kCapsuleName));
      detail::retain(storage);
      return detail::StorageRef(storage);
    }
    if (PyArray_Check(object)) {
      object = PyArray_BASE(reinterpret_cast<PyArrayObject*>(object));
    } else if (PyMemoryView_Check(object)) {
      const Py_buffer* view = PyMemoryView_GET_BUFFER(object);
      if (view->obj != nullptr && as_tensor(view->obj) != nullptr) return exported_storage(*view);
      object = view->obj;
    } else {
      break;
    }
  }
  return storage_exported_at(PyArray_DATA(as_array(array)));
}

// The geometry of the array over the storage; nullopt where it must not stand for the storage.
std::optional<Geometry> within(const detail::StorageRef& storage, PyArrayObject* array, Geometry geometry,
                               DType dtype) {
  if (!storage || storage->kind() == detail::StorageKind::kPrivate || storage->data() == nullptr) return std::nullopt;
  if (storage->is_writable() != static_cast<bool>(PyArray_ISWRITEABLE(array))) return std::nullopt;
  // Where a published draft is read is not where it was written.
  const auto* begin = static_cast<const std::byte*>(Tensor(storage, storage->data(), kUInt8, {}).const_data());
  const auto* data = static_cast<const std::byte*>(PyArray_DATA(array));
  if (data < begin || data > begin + storage->nbytes()) return std::nullopt;
  const auto offset = static_cast<std::size_t>(data - begin);
  if (offset % itemsize(dtype) != 0) return std::nullopt;
  if (!lies_within(geometry, itemsize(dtype), storage->nbytes() - offset)) return std::nullopt;
  geometry.storage_offset = static_cast<std::int64_t>(offset / itemsize(dtype));
  return geometry;
}

void check_strides_for_torch(PyArrayObject* array) {
  for (int d = 0; d < PyArray_NDIM(array); ++d) {
    if (PyArray_STRIDE(array, d) < 0) {
      throw InvalidArgumentError(
          "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
          "currently supported. (You can probably work around this by making a copy of your array with array.copy().)");
    }
  }
}

}  // namespace

py::object new_owner(const detail::StorageRef& storage) {
  detail::retain(storage.get());
  PyObject* capsule = PyCapsule_New(storage.get(), kCapsuleName, &release_capsule);
  if (capsule == nullptr) {
    detail::release(storage.get());
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(capsule);
}

py::object to_array(const Tensor& tensor) { return to_array(tensor, new_owner(tensor.storage())); }

py::object to_array(const Tensor& tensor, const py::object& owner) {
  std::array<npy_intp, kMaxDims> sizes;
  std::array<npy_intp, kMaxDims> strides;
  const auto dims = tensor.sizes().size();
  const auto item = static_cast<npy_intp>(tensor.itemsize());
  for (std::size_t d = 0; d < dims; ++d) {
    sizes[d] = tensor.sizes()[d];
    strides[d] = tensor.strides()[d] * item;
  }
  void* data = tensor.numel() == 0 ? g_nowhere : const_cast<void*>(tensor.const_data());
  PyObject* descriptor = numpy_descriptor(tensor.dtype());
  Py_INCREF(descriptor);
  PyObject* array =
      PyArray_NewFromDescr(&PyArray_Type, reinterpret_cast<PyArray_Descr*>(descriptor), static_cast<int>(dims),
                           sizes.data(), strides.data(), data, tensor.is_writable() ? NPY_ARRAY_WRITEABLE : 0, nullptr);
  if (array == nullptr) throw py::error_already_set();
  py::object result = py::reinterpret_steal<py::object>(array);
  if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array), py::object(owner).release().ptr()) != 0) {
    throw py::error_already_set();
  }
  return result;
}

py::dict array_interface(const Tensor& tensor) {
  if (!is_numpy_dtype(tensor.dtype())) {
    throw py::attribute_error("NumPy itself has no " + std::string(name(tensor.dtype())) +
                              "; call .numpy(), which gives an array of the dtype of ml_dtypes");
  }
  py::tuple shape(tensor.sizes().size());
  py::tuple strides(tensor.sizes().size());
  for (std::size_t d = 0; d < shape.size(); ++d) {
    shape[d] = tensor.sizes()[d];
    strides[d] = tensor.strides()[d] * static_cast<std::int64_t>(tensor.itemsize());
  }
  const void* data = tensor.numel() == 0 ? g_nowhere : tensor.const_data();
  py::dict interface;
  interface["version"] = 3;
  interface["shape"] = shape;
  interface["strides"] = strides;
  interface["typestr"] = std::string(info(tensor.dtype()).numpy);
  interface["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(data), !tensor.is_writable());
  return interface;
}

Tensor from_array(py::handle array) {
  py::object source = native(array);
  const DType dtype = checked_dtype(source);
  auto geometry = geometry_of(as_array(source));
  if (!geometry) {
    source = py::reinterpret_steal<py::object>(PyArray_NewCopy(as_array(source), NPY_KEEPORDER));
    if (!source) throw py::error_already_set();
    geometry = geometry_of(as_array(source));
  }
  return alias_array(source, dtype, *std::move(geometry));
}

Tensor read_array(py::handle array) {
  const py::object source = native(array);
  const DType dtype = checked_dtype(source);
  if (geometry_of(as_array(source))) return from_array(source);
  auto geometry = geometry_of(as_array(source), Backwards::kTaken);
  return geometry ? alias_backwards(source, dtype, *std::move(geometry)) : from_array(source);
}

Tensor share_array(py::handle array) {
  if (!PyArray_Check(array.ptr()))
    throw TypeError("expected np.ndarray (got " + std::string(Py_TYPE(array.ptr())->tp_name) + ")");
  check_unmasked(array);
  if (!PyArray_ISNOTSWAPPED(as_array(array))) {
    throw InvalidArgumentError(
        "given numpy array has byte order different from the native byte order. Conversion between byte orders is "
        "currently not supported; call .astype(array.dtype.newbyteorder('='))");
  }
  const DType dtype = checked_dtype(array);
  check_strides_for_torch(as_array(array));
  const auto geometry = geometry_of(as_array(array));
  if (!geometry) {
    throw InvalidArgumentError(
        "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the "
        "memory.");
  }
  detail::StorageRef storage = storage_behind(array);
  auto over_storage = within(storage, as_array(array), *geometry, dtype);
  if (!over_storage) return alias_array(array, dtype, *geometry);
  std::byte* const base = storage->data();
  return Tensor(std::move(storage), base, dtype, *std::move(over_storage));
}

}  // namespace tensorbroker::python
