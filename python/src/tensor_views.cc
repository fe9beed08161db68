// Views of a tensor: other shapes, strides and offsets over the same storage, as torch has them.

#include <vector>

#include "python/src/dtypes.h"
#include "python/src/gil.h"
#include "python/src/signature.h"
#include "python/src/source.h"
#include "python/src/tensor_class.h"

namespace tensorbroker::python {
namespace {

py::tuple wrap_all(std::vector<Tensor> tensors) {
  py::tuple result(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) result[i] = wrap(std::move(tensors[i]));
  return result;
}

// ---- shapes

bool is_shape(const py::args& args) {
  return args.size() != 1 || is_int(args[0]) || PyTuple_Check(args[0].ptr()) || PyList_Check(args[0].ptr());
}

py::object view(const PyTensor& self, const py::args& shape, py::handle dtype) {
  if (!dtype.is_none()) return wrap(live(self).view(to_dtype(dtype)));
  if (!is_shape(shape)) return wrap(live(self).view(to_dtype(shape[0])));
  return wrap(live(self).view(Signature("view").integers(shape, "size")));
}

py::object reshape_to(const PyTensor& self, const Dims& shape) {
  Tensor tensor = live(self);
  {
    const NoGil no_gil;
    tensor = tensor.reshape(shape);
  }
  return wrap(std::move(tensor));
}

py::object reshape(const PyTensor& self, const py::args& shape) {
  return reshape_to(self, Signature("reshape").integers(shape, "shape"));
}

// Sizes of a tensor of any kind.
Dims sizes_of(py::handle other, const char* function) {
  if (!is_array_like(other)) Signature(function).refuse(other, "other", 1, "Tensor");
  return Dims(source_tensor(other).sizes());
}

py::object flatten(const py::object& self, py::handle start_dim, py::handle end_dim) {
  const Signature signature("flatten");
  Tensor tensor = live(*as_tensor(self));
  const std::int64_t start = signature.integer(start_dim, "start_dim", 1);
  const std::int64_t end = signature.integer(end_dim, "end_dim", 2);
  {
    const NoGil no_gil;
    Tensor flat = tensor.flatten(start, end);
    if (flat.geometry() == tensor.geometry() && flat.storage().get() == tensor.storage().get()) {
      tensor = {};
    } else {
      tensor = std::move(flat);
    }
  }
  return tensor.defined() ? wrap(std::move(tensor)) : self;
}

py::object ravel(const PyTensor& self) {
  Tensor tensor = live(self);
  {
    const NoGil no_gil;
    tensor = tensor.contiguous().view({-1});
  }
  return wrap(std::move(tensor));
}

py::object unflatten(const PyTensor& self, py::handle dim, py::handle sizes) {
  const Signature signature("unflatten");
  return wrap(live(self).unflatten(signature.integer(dim, "dim", 1), signature.tuple(sizes, "sizes", 2)));
}

void define_shapes(TensorClass& tensor) {
  tensor.def("view", &view, py::arg("dtype") = py::none())
      .def(
          "view_as",
          [](const PyTensor& self, py::handle other) { return wrap(live(self).view(sizes_of(other, "view_as"))); },
          py::arg("other"))
      .def("reshape", &reshape)
      .def(
          "reshape_as",
          [](const PyTensor& self, py::handle other) { return reshape_to(self, sizes_of(other, "reshape_as")); },
          py::arg("other"))
      .def("flatten", &flatten, py::arg("start_dim") = 0, py::arg("end_dim") = -1)
      .def("ravel", &ravel)
      .def("unflatten", &unflatten, py::arg("dim"), py::arg("sizes"));
}

// ---- order of dimensions

py::object transpose(const PyTensor& self, py::handle dim0, py::handle dim1) {
  const Signature signature("transpose");
  return wrap(live(self).transpose(signature.integer(dim0, "dim0", 1), signature.integer(dim1, "dim1", 2)));
}

py::object movedim(const PyTensor& self, py::handle source, py::handle destination) {
  const Signature signature("movedim");
  if (is_int(source) != is_int(destination)) signature.refuse(destination, "destination", 2, "like source");
  return wrap(live(self).movedim(signature.tuple(source, "source", 1, true),
                                 signature.tuple(destination, "destination", 2, true)));
}

void define_orders(TensorClass& tensor) {
  for (const char* name : {"transpose", "swapaxes", "swapdims"}) {
    tensor.def(name, &transpose, py::arg("dim0"), py::arg("dim1"));
  }
  for (const char* name : {"movedim", "moveaxis"}) {
    tensor.def(name, &movedim, py::arg("source"), py::arg("destination"));
  }
  tensor.def("t", [](const PyTensor& self) { return wrap(live(self).t()); })
      .def_property_readonly("T", [](const PyTensor& self) { return wrap(live(self).numpy_T()); })
      .def_property_readonly("mT", [](const PyTensor& self) { return wrap(live(self).mT()); })
      .def("permute", [](const PyTensor& self, const py::args& dims) {
        return wrap(live(self).permute(Signature("permute").integers(dims, "dims")));
      });
}

// ---- dimensions of size 1

py::object squeeze(const PyTensor& self, py::handle dim) {
  const Tensor& tensor = live(self);
  if (dim.is_none()) return wrap(tensor.squeeze());
  const Dims dims = Signature("squeeze").tuple(dim, "dim", 1, true);
  return wrap(tensor.squeeze(DimList(dims)));
}

py::object expand(const PyTensor& self, const py::args& sizes) {
  return wrap(live(self).expand(Signature("expand").integers(sizes, "size")));
}

void define_ones(TensorClass& tensor) {
  tensor.def("squeeze", &squeeze, py::arg("dim") = py::none())
      .def(
          "unsqueeze",
          [](const PyTensor& self, py::handle dim) {
            return wrap(live(self).unsqueeze(Signature("unsqueeze").integer(dim, "dim", 1)));
          },
          py::arg("dim"))
      .def("expand", &expand)
      .def("broadcast_to", &expand)
      .def(
          "expand_as",
          [](const PyTensor& self, py::handle other) { return wrap(live(self).expand(sizes_of(other, "expand_as"))); },
          py::arg("other"));
}

// ---- parts

py::object select(const PyTensor& self, py::handle dim, py::handle index) {
  const Signature signature("select");
  return wrap(live(self).select(signature.integer(dim, "dim", 1), signature.integer(index, "index", 2)));
}

py::object narrow(const PyTensor& self, py::handle dim, py::handle start, py::handle length) {
  const Signature signature("narrow");
  return wrap(live(self).narrow(signature.integer(dim, "dim", 1), signature.integer(start, "start", 2),
                                signature.integer(length, "length", 3)));
}

py::tuple split(const PyTensor& self, py::handle split_size, py::handle dim) {
  const Signature signature("split");
  const Tensor& tensor = live(self);
  const std::int64_t along = signature.integer(dim, "dim", 2);
  if (is_int(split_size)) return wrap_all(tensor.split(signature.integer(split_size, "split_size", 1), along));
  return wrap_all(tensor.split_with_sizes(signature.tuple(split_size, "split_size", 1), along));
}

py::tuple chunk(const PyTensor& self, py::handle chunks, py::handle dim) {
  const Signature signature("chunk");
  return wrap_all(live(self).chunk(signature.integer(chunks, "chunks", 1), signature.integer(dim, "dim", 2)));
}

py::tuple unbind(const PyTensor& self, py::handle dim) {
  return wrap_all(live(self).unbind(Signature("unbind").integer(dim, "dim", 1)));
}

void define_parts(TensorClass& tensor) {
  tensor.def("select", &select, py::arg("dim"), py::arg("index"))
      .def("narrow", &narrow, py::arg("dim"), py::arg("start"), py::arg("length"))
      .def("unbind", &unbind, py::arg("dim") = 0)
      .def("split", &split, py::arg("split_size"), py::arg("dim") = 0)
      .def("chunk", &chunk, py::arg("chunks"), py::arg("dim") = 0);
}

// ---- other walks through the elements

py::object diagonal(const PyTensor& self, py::handle offset, py::handle dim1, py::handle dim2) {
  const Signature signature("diagonal");
  return wrap(live(self).diagonal(signature.integer(offset, "offset", 1), signature.integer(dim1, "dim1", 2),
                                  signature.integer(dim2, "dim2", 3)));
}

py::object unfold(const PyTensor& self, py::handle dimension, py::handle size, py::handle step) {
  const Signature signature("unfold");
  return wrap(live(self).unfold(signature.integer(dimension, "dimension", 1), signature.integer(size, "size", 2),
                                signature.integer(step, "step", 3)));
}

py::object as_strided(const PyTensor& self, py::handle size, py::handle stride, py::handle storage_offset) {
  const Signature signature("as_strided");
  std::optional<std::int64_t> offset;
  if (!storage_offset.is_none()) offset = signature.integer(storage_offset, "storage_offset", 3);
  return wrap(live(self).as_strided(signature.tuple(size, "size", 1), signature.tuple(stride, "stride", 2), offset));
}

void define_walks(TensorClass& tensor) {
  tensor.def("diagonal", &diagonal, py::arg("offset") = 0, py::arg("dim1") = 0, py::arg("dim2") = 1)
      .def("unfold", &unfold, py::arg("dimension"), py::arg("size"), py::arg("step"))
      .def("as_strided", &as_strided, py::arg("size"), py::arg("stride"), py::arg("storage_offset") = py::none());
}

}  // namespace

void define_views(TensorClass& tensor) {
  define_shapes(tensor);
  define_orders(tensor);
  define_ones(tensor);
  define_parts(tensor);
  define_walks(tensor);
}

}  // namespace tensorbroker::python
