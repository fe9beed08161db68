#include <tensorbroker/error.h>

#include <vector>

#include "proto/geometry.h"
#include "proto/views.h"
#include "python/src/arguments.h"
#include "python/src/dtypes.h"
#include "python/src/gil.h"
#include "python/src/memory.h"
#include "python/src/tensor_class.h"

namespace tensorbroker::python {
namespace {

// Takes the tensor by value: another thread may release the object that it came from.
Tensor copy_without_gil(Tensor tensor, Tensor (*copy)(const Tensor&)) {
  const NoGil no_gil;
  tensor = copy(tensor);
  return tensor;
}

py::object size(const PyTensor& self, py::handle dim) {
  if (dim.is_none()) return to_size(live(self).sizes());
  return py::int_(live(self).size(to_int(dim, "dim")));
}

py::object stride(const PyTensor& self, py::handle dim) {
  if (dim.is_none()) return to_tuple(live(self).strides());
  return py::int_(live(self).stride(to_int(dim, "dim")));
}

py::object view(const PyTensor& self, const py::args& shape) {
  if (shape.empty()) throw TypeError("view() wants a shape: ints, or one tuple or list of them");
  return wrap(live(self).view(to_sizes(shape, "view")));
}

py::object reshape(const PyTensor& self, const py::args& shape) {
  if (shape.empty()) throw TypeError("reshape() wants a shape: ints, or one tuple or list of them");
  const Tensor tensor = live(self);
  const Dims sizes = to_sizes(shape, "reshape");
  if (try_view(tensor.geometry(), sizes)) return wrap(tensor.view(sizes));
  const Dims inferred = infer_size(sizes, tensor.numel());
  return wrap(copy_without_gil(tensor, &contiguous_copy).view(inferred));
}

py::object flatten(py::object self, std::int64_t start_dim, std::int64_t end_dim) {
  const PyTensor& tensor = *as_tensor(self);
  const Dims sizes(live(tensor).sizes());
  const std::size_t start = wrap_dim(start_dim, live(tensor).dim());
  const std::size_t end = wrap_dim(end_dim, live(tensor).dim());
  if (start > end) throw RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim");
  if (sizes.empty()) return reshape(tensor, py::make_tuple(1));
  if (start == end) return self;
  py::list shape;
  std::int64_t flat = 1;
  for (std::size_t d = 0; d < sizes.size(); ++d) {
    if (d < start || d > end) shape.append(sizes[d]);
    if (d >= start && d <= end) flat *= sizes[d];
    if (d == end) shape.append(flat);
  }
  return reshape(tensor, py::make_tuple(shape));
}

py::object permute(const PyTensor& self, const py::args& dims) {
  return wrap(live(self).permute(to_sizes(dims, "permute")));
}

py::object expand(const PyTensor& self, const py::args& sizes) {
  return wrap(live(self).expand(to_sizes(sizes, "expand")));
}

py::object squeeze(const PyTensor& self, py::handle dim) {
  const Tensor& tensor = live(self);
  if (dim.is_none()) return wrap(tensor.squeeze());
  if (!PyTuple_Check(dim.ptr()) && !PyList_Check(dim.ptr())) return wrap(tensor.squeeze(to_int(dim, "dim")));
  std::vector<bool> chosen(static_cast<std::size_t>(tensor.dim()));
  for (const std::int64_t d : to_sizes(dim, "squeeze")) {
    const std::size_t wrapped = wrap_dim(d, tensor.dim());
    if (wrapped >= chosen.size()) continue;  // of a 0-d tensor
    if (chosen[wrapped])
      throw RuntimeError("dim " + std::to_string(wrapped) + " appears multiple times in the list of dims");
    chosen[wrapped] = true;
  }
  Tensor result = tensor;
  for (std::size_t d = chosen.size(); d-- > 0;) {
    if (chosen[d]) result = result.squeeze(static_cast<std::int64_t>(d));
  }
  return wrap(result);
}

py::object reversed_dims(const PyTensor& self) {
  std::vector<std::int64_t> dims;
  for (std::int64_t d = live(self).dim(); d > 0; --d) dims.push_back(d - 1);
  return wrap(live(self).permute(dims));
}

py::object clone_of(const PyTensor& self) { return wrap(copy_without_gil(live(self), &clone)); }

py::object contiguous(const py::object& self) {
  const Tensor tensor = live(*as_tensor(self));
  return tensor.is_contiguous() ? self : wrap(copy_without_gil(tensor, &contiguous_copy));
}

void define_sizes(TensorClass& tensor) {
  tensor.def_property_readonly("shape", [](const PyTensor& self) { return to_size(live(self).sizes()); })
      .def("size", &size, py::arg("dim") = py::none())
      .def("dim", [](const PyTensor& self) { return live(self).dim(); })
      .def_property_readonly("ndim", [](const PyTensor& self) { return live(self).dim(); })
      .def("numel", [](const PyTensor& self) { return live(self).numel(); })
      .def_property_readonly("dtype", [](const PyTensor& self) { return dtype_object(live(self).dtype()); })
      .def("element_size", [](const PyTensor& self) { return live(self).itemsize(); })
      .def_property_readonly("itemsize", [](const PyTensor& self) { return live(self).itemsize(); })
      .def_property_readonly("nbytes", [](const PyTensor& self) { return live(self).nbytes(); })
      .def("stride", &stride, py::arg("dim") = py::none())
      .def("storage_offset", [](const PyTensor& self) { return live(self).storage_offset(); })
      .def("is_contiguous", [](const PyTensor& self) { return live(self).is_contiguous(); });
}

}  // namespace

void define_geometry(TensorClass& tensor) {
  define_sizes(tensor);
  tensor.def("view", &view)
      .def("reshape", &reshape)
      .def("flatten", &flatten, py::arg("start_dim") = 0, py::arg("end_dim") = -1)
      .def(
          "transpose",
          [](const PyTensor& self, std::int64_t dim0, std::int64_t dim1) {
            return wrap(live(self).transpose(dim0, dim1));
          },
          py::arg("dim0"), py::arg("dim1"))
      .def("t", [](const PyTensor& self) { return wrap(live(self).t()); })
      .def_property_readonly("T", &reversed_dims)
      .def("permute", &permute)
      .def(
          "select",
          [](const PyTensor& self, std::int64_t dim, std::int64_t index) {
            return wrap(live(self).select(dim, index));
          },
          py::arg("dim"), py::arg("index"))
      .def(
          "narrow",
          [](const PyTensor& self, std::int64_t dim, std::int64_t start, std::int64_t length) {
            return wrap(live(self).narrow(dim, start, length));
          },
          py::arg("dim"), py::arg("start"), py::arg("length"))
      .def("squeeze", &squeeze, py::arg("dim") = py::none())
      .def(
          "unsqueeze", [](const PyTensor& self, std::int64_t dim) { return wrap(live(self).unsqueeze(dim)); },
          py::arg("dim"))
      .def("expand", &expand)
      .def("clone", &clone_of, "A copy in memory of this process.")
      .def("contiguous", &contiguous);
}

}  // namespace tensorbroker::python
