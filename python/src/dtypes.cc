#include "python/src/dtypes.h"

#include <tensorbroker/error.h>

#include <array>
#include <string>
#include <string_view>

#include "python/src/arguments.h"
#include "python/src/errors.h"
#include "python/src/numpy_api.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

struct PyDType {
  DType dtype;
};

constexpr std::size_t kDTypes = 20;

// For the life of the process.
std::array<PyObject*, kDTypes> g_objects{};
std::array<PyObject*, kDTypes> g_descriptors{};

constexpr std::string_view kTorchPrefix = "torch.";

std::string all_names() {
  std::string names;
  for (const DTypeInfo& row : all_dtypes()) names.append(names.empty() ? "" : ", ").append(row.name);
  return names;
}

[[noreturn]] void refuse(py::handle object) {
  throw TypeError("not a dtype of tensors: " + py::cast<std::string>(py::repr(object)) +
                  "; give a tensorbroker, NumPy or torch dtype, or one of the names " + all_names());
}

std::optional<DType> from_torch(py::handle object) {
  const std::string text = py::cast<std::string>(py::str(object));
  if (!text.starts_with(kTorchPrefix)) return std::nullopt;
  return dtype_from_name(std::string_view(text).substr(kTorchPrefix.size()));
}

std::optional<DType> from_numpy_like(py::handle object) {
  PyArray_Descr* descriptor = nullptr;
  if (object.is_none() || PyArray_DescrConverter(object.ptr(), &descriptor) == NPY_FAIL) {
    PyErr_Clear();
    return std::nullopt;
  }
  const py::object owner = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(descriptor));
  return dtype_from_numpy(owner.ptr());
}

PyObject* make_descriptor(DType dtype) {
  const std::string text(info(dtype).numpy);
  const py::object type = text.empty() ? py::module_::import("ml_dtypes").attr(std::string(name(dtype)).c_str())
                                       : py::object(py::str(text));
  PyArray_Descr* descriptor = nullptr;
  if (PyArray_DescrConverter(type.ptr(), &descriptor) == NPY_FAIL) throw py::error_already_set();
  return reinterpret_cast<PyObject*>(descriptor);
}

std::string repr(const PyDType& self) { return std::string(kTorchPrefix) + std::string(name(self.dtype)); }

void define_class(py::module_& module) {
  const auto kind_is = [](DTypeKind kind) {
    return [kind](const PyDType& self) { return info(self.dtype).kind == kind; };
  };
  py::class_<PyDType>(module, "dtype")
      .def("__repr__", &repr)
      .def_property_readonly("name", [](const PyDType& self) { return std::string(name(self.dtype)); })
      .def_property_readonly("itemsize", [](const PyDType& self) { return itemsize(self.dtype); })
      .def_property_readonly("is_floating_point", kind_is(DTypeKind::kFloat))
      .def_property_readonly("is_complex", kind_is(DTypeKind::kComplex))
      .def_property_readonly("is_signed",
                             [](const PyDType& self) {
                               const DTypeKind kind = info(self.dtype).kind;
                               return kind != DTypeKind::kBool && kind != DTypeKind::kUnsigned;
                             })
      // np.dtype(tensorbroker.float32), from NumPy 2.4 on.
      .def_property_readonly(
          "__numpy_dtype__",
          [](const PyDType& self) { return py::reinterpret_borrow<py::object>(numpy_descriptor(self.dtype)); })
      .def("__reduce__", [](const PyDType& self) {
        return py::make_tuple(py::module_::import("tensorbroker._core").attr("_dtype"),
                              py::make_tuple(std::string(name(self.dtype))));
      });
  module.def("_dtype", [](py::handle object) { return dtype_object(to_dtype(object)); });
}

}  // namespace

py::object dtype_object(DType dtype) {
  return py::reinterpret_borrow<py::object>(g_objects[static_cast<std::size_t>(dtype)]);
}

DType to_dtype(py::handle object) {
  if (py::isinstance<PyDType>(object)) return py::cast<const PyDType&>(object).dtype;
  std::optional<DType> dtype;
  if (std::string_view(Py_TYPE(object.ptr())->tp_name) == "torch.dtype") {
    dtype = from_torch(object);
  } else {
    if (py::isinstance<py::str>(object)) {
      std::string text = to_text(object);
      if (text.starts_with(kTorchPrefix)) text.erase(0, kTorchPrefix.size());
      dtype = dtype_from_name(text);
    }
    if (!dtype) dtype = from_numpy_like(object);
  }
  if (!dtype) refuse(object);
  return *dtype;
}

DType to_dtype(py::handle object, DType none) { return object.is_none() ? none : to_dtype(object); }

std::optional<DType> to_optional_dtype(py::handle object) {
  return object.is_none() ? std::nullopt : std::optional(to_dtype(object));
}

PyObject* numpy_descriptor(DType dtype) {
  PyObject*& descriptor = g_descriptors[static_cast<std::size_t>(dtype)];
  if (descriptor == nullptr) descriptor = make_descriptor(dtype);
  return descriptor;
}

bool is_numpy_dtype(DType dtype) noexcept { return !info(dtype).numpy.empty(); }

std::optional<DType> dtype_from_numpy(PyObject* descriptor) {
  auto* descr = reinterpret_cast<PyArray_Descr*>(descriptor);
  if (!PyArray_ISNBO(descr->byteorder)) return std::nullopt;
  if (PyTypeNum_ISUSERDEF(descr->type_num)) {
    return dtype_from_name(py::cast<std::string>(py::handle(descriptor).attr("name")));
  }
  for (const DTypeInfo& row : all_dtypes()) {
    if (row.numpy.empty()) continue;
    const char kind = row.numpy[1];  // behind the byte order
    if (descr->kind == kind && static_cast<npy_intp>(row.itemsize) == PyDataType_ELSIZE(descr)) return row.dtype;
  }
  return std::nullopt;
}

void define_dtypes(py::module_& module) {
  define_class(module);
  for (const DTypeInfo& row : all_dtypes()) {
    py::object object = py::cast(PyDType{row.dtype});
    g_objects[static_cast<std::size_t>(row.dtype)] = object.inc_ref().ptr();
    module.attr(std::string(row.name).c_str()) = object;
  }
  for (const char* alias : {"half", "float", "double", "short", "int", "long", "cfloat", "cdouble"}) {
    if (const auto dtype = dtype_from_name(alias)) module.attr(alias) = dtype_object(*dtype);
  }
}

}  // namespace tensorbroker::python
