#include <tensorbroker/error.h>

#include "python/src/array.h"
#include "python/src/dlpack.h"
#include "python/src/errors.h"
#include "python/src/tensor_class.h"

namespace tensorbroker::python {
namespace {

py::object to_numpy_array(const PyTensor& self, py::handle dtype, py::handle copy) {
  py::object array = to_array(live(self));
  const int truth = copy.is_none() ? 0 : PyObject_IsTrue(copy.ptr());  // NumPy passes bools, others ints
  if (truth < 0) throw py::error_already_set();
  const bool must_copy = truth != 0;
  if (!dtype.is_none()) {
    const py::object wanted = py::module_::import("numpy").attr("dtype")(dtype);
    if (!wanted.equal(array.attr("dtype"))) {
      if (!copy.is_none() && !must_copy) {
        throw InvalidArgumentError("converting this tensor's elements makes a copy, which copy=False forbids");
      }
      return array.attr("astype")(wanted);
    }
  }
  return must_copy ? array.attr("copy")() : array;
}

// What gives a bare address away keeps the storage, whatever release() does.
std::uintptr_t data_ptr(PyTensor& self) {
  const Tensor& tensor = live(self);
  if (tensor.numel() == 0) return 0;
  self.pinned = tensor.storage();
  return reinterpret_cast<std::uintptr_t>(tensor.const_data());
}

py::dict interface(PyTensor& self) {
  py::dict result = array_interface(live(self));
  self.pinned = live(self).storage();
  return result;
}

// jnp.asarray(tensor) and the like. JAX takes it that the bytes never change: what may change is copied.
py::object to_jax_array(const PyTensor& self) {
  const Tensor tensor = live(self);
  const py::object array = to_array(tensor);
  const py::module_ jax = py::module_::import("jax");
  if (tensor.is_sealed()) return jax.attr("device_put")(array);
  return jax.attr("numpy").attr("array")(array, py::arg("copy") = true);
}

py::object device(const PyTensor& self) {
  live(self);
  static PyObject* const cpu =
      py::object(py::module_::import("tensorbroker._device").attr("device")("cpu")).release().ptr();
  return py::reinterpret_borrow<py::object>(cpu);
}

}  // namespace

void define_interop(TensorClass& tensor) {
  tensor.def("numpy", [](const PyTensor& self) { return to_array(live(self)); })
      .def("torch", [](const PyTensor& self) { return to_torch(Tensor(live(self))); })
      .def("data_ptr", &data_ptr)
      .def_property_readonly("device", &device)
      .def("__jax_array__", &to_jax_array)
      .def("__array__", &to_numpy_array, py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def_property_readonly("__array_interface__", &interface)
      .def(
          "__dlpack__",
          [](const PyTensor& self, py::handle stream, py::handle max_version, py::handle dl_device, py::handle copy) {
            return export_dlpack(Tensor(live(self)), stream, max_version, dl_device, copy);
          },
          py::kw_only(), py::arg("stream") = py::none(), py::arg("max_version") = py::none(),
          py::arg("dl_device") = py::none(), py::arg("copy") = py::none())
      .def("__dlpack_device__", [](const PyTensor& self) {
        live(self);
        return dlpack_device();
      });
}

}  // namespace tensorbroker::python
