// What a tensor tells of itself: sizes, strides, dtype.

#include "python/src/arguments.h"
#include "python/src/dtypes.h"
#include "python/src/signature.h"
#include "python/src/tensor_class.h"

namespace tensorbroker::python {
namespace {

py::object size(const PyTensor& self, py::handle dim) {
  if (dim.is_none()) return to_size(live(self).sizes());
  return py::int_(live(self).size(Signature("size").integer(dim, "dim", 1)));
}

py::object stride(const PyTensor& self, py::handle dim) {
  if (dim.is_none()) return to_tuple(live(self).strides());
  return py::int_(live(self).stride(Signature("stride").integer(dim, "dim", 1)));
}

bool is_of_kind(const PyTensor& self, DTypeKind kind) { return info(live(self).dtype()).kind == kind; }

}  // namespace

void define_geometry(TensorClass& tensor) {
  const auto dim = [](const PyTensor& self) { return live(self).dim(); };
  const auto numel = [](const PyTensor& self) { return live(self).numel(); };
  const auto itemsize = [](const PyTensor& self) { return live(self).itemsize(); };
  tensor.def_property_readonly("shape", [](const PyTensor& self) { return to_size(live(self).sizes()); })
      .def("size", &size, py::arg("dim") = py::none())
      .def("dim", dim)
      .def("ndimension", dim)
      .def_property_readonly("ndim", dim)
      .def("numel", numel)
      .def("nelement", numel)
      .def_property_readonly("dtype", [](const PyTensor& self) { return dtype_object(live(self).dtype()); })
      .def("element_size", itemsize)
      .def_property_readonly("itemsize", itemsize)
      .def_property_readonly("nbytes", [](const PyTensor& self) { return live(self).nbytes(); })
      .def("stride", &stride, py::arg("dim") = py::none())
      .def("storage_offset", [](const PyTensor& self) { return live(self).storage_offset(); })
      .def("is_contiguous", [](const PyTensor& self) { return live(self).is_contiguous(); })
      .def("is_floating_point", [](const PyTensor& self) { return is_of_kind(self, DTypeKind::kFloat); })
      .def("is_complex", [](const PyTensor& self) { return is_of_kind(self, DTypeKind::kComplex); });
}

}  // namespace tensorbroker::python
