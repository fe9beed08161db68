#include "python/src/source.h"

#include <optional>
#include <string>
#include <utility>

#include "python/src/array.h"
#include "python/src/dlpack.h"
#include "python/src/dtypes.h"
#include "python/src/errors.h"
#include "python/src/literal.h"
#include "python/src/memory.h"
#include "python/src/numpy_api.h"
#include "python/src/py_tensor.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

// torch.Tensor where torch is loaded, else null.
py::handle torch_tensor_type() {
  static PyObject* type = nullptr;
  if (type == nullptr) {
    const py::handle torch = PyDict_GetItemString(PyImport_GetModuleDict(), "torch");
    // While torch is being imported it has no Tensor yet.
    if (!torch || !py::hasattr(torch, "Tensor")) return {};
    type = py::object(torch.attr("Tensor")).release().ptr();
  }
  return type;
}

// A torch tensor's own memory: detached, on the CPU, with conjugation and negation done.
Tensor from_torch(py::handle object) {
  py::object tensor = object.attr("detach")();
  if (py::cast<std::string>(py::str(tensor.attr("layout"))) != "torch.strided") {
    throw TypeError("cannot make a tensor of a torch tensor of layout " +
                    py::cast<std::string>(py::str(tensor.attr("layout"))) + ": call .to_dense() first");
  }
  if (py::cast<bool>(tensor.attr("is_nested"))) {
    throw TypeError("a nested torch tensor is several: put each of .unbind() under its own name");
  }
  if (py::cast<bool>(tensor.attr("is_quantized"))) {
    throw TypeError("cannot make a tensor of a quantized torch tensor of dtype " +
                    py::cast<std::string>(py::str(tensor.attr("dtype"))) + ": call .dequantize() or .int_repr() first");
  }
  const std::string device = py::cast<std::string>(tensor.attr("device").attr("type"));
  if (device == "meta") throw TypeError("a torch tensor on the meta device has no elements to put");
  if (device != "cpu") tensor = tensor.attr("cpu")();
  const DType dtype = to_dtype(tensor.attr("dtype"));
  tensor = tensor.attr("resolve_conj")().attr("resolve_neg")();
  Geometry geometry;
  for (const py::handle size : tensor.attr("shape")) geometry.sizes.push_back(py::cast<std::int64_t>(size));
  for (const py::handle stride : tensor.attr("stride")()) geometry.strides.push_back(py::cast<std::int64_t>(stride));
  auto* data = reinterpret_cast<void*>(py::cast<std::uintptr_t>(tensor.attr("data_ptr")()));
  return alias(data, dtype, std::move(geometry), true, std::move(tensor));
}

bool has_another_way(py::handle object) {
  return PyObject_CheckBuffer(object.ptr()) != 0 || py::hasattr(object, "__array_interface__") ||
         py::hasattr(object, "__array__");
}

// nullopt where DLPack does not do, and the object has another way: negative strides, a dtype of ml_dtypes' in NumPy, a
// read-only array of an older NumPy.
std::optional<Tensor> from_dlpack(py::handle object) {
  const bool only_way = !has_another_way(object);
  try {
    return import_dlpack(object, py::none(), py::none());
  } catch (py::error_already_set& error) {
    if (only_way || !error.matches(PyExc_Exception)) throw;
  } catch (const TypeError&) {
    if (only_way) throw;
  } catch (const InvalidArgumentError&) {
    if (only_way) throw;
  }
  return std::nullopt;
}

// An array by the buffer protocol, __array_interface__ or __array__; masked where that is.
py::object by_numpy(py::handle object) {
  py::object source = py::reinterpret_borrow<py::object>(object);
  // NumPy would read bytes as one string.
  if (PyBytes_Check(object.ptr())) source = py::reinterpret_steal<py::object>(PyMemoryView_FromObject(object.ptr()));
  if (!source) throw py::error_already_set();
  return py::module_::import("numpy").attr("asanyarray")(source);
}

Tensor make_tensor(py::handle object, Tensor (*of_array)(py::handle array)) {
  if (const PyTensor* tensor = as_tensor(object)) return live(*tensor);
  if (PyArray_Check(object.ptr())) return of_array(object);
  if (is_torch_tensor(object)) return from_torch(object);
  if (py::hasattr(object, "__dlpack__")) {
    if (auto tensor = from_dlpack(object)) return *std::move(tensor);
  }
  return of_array(by_numpy(object));
}

}  // namespace

bool is_torch_tensor(py::handle object) {
  const py::handle type = torch_tensor_type();
  return type && PyObject_IsInstance(object.ptr(), type.ptr()) == 1;
}

bool is_array_like(py::handle object) {
  if (as_tensor(object) != nullptr || PyArray_Check(object.ptr()) || is_torch_tensor(object)) return true;
  PyObject* p = object.ptr();
  if (PyList_Check(p) || PyTuple_Check(p) || PyUnicode_Check(p) || PyType_Check(p)) return false;
  return PyObject_CheckBuffer(p) != 0 || py::hasattr(object, "__dlpack__") ||
         py::hasattr(object, "__array_interface__") || py::hasattr(object, "__array__");
}

Tensor source_tensor(py::handle object) { return make_tensor(object, &from_array); }

Tensor read_data(py::handle data, std::optional<DType> dtype) {
  if (!is_array_like(data) || PyArray_CheckScalar(data.ptr())) return from_literal(data, dtype);
  return make_tensor(data, &read_array);
}

}  // namespace tensorbroker::python
