// empty_like, zeros_like, ones_like, full_like: the shape, and unless others are given the dtype and strides, of
// another tensor.

#include <cstring>

#include "client/strided.h"
#include "proto/dense_strides.h"
#include "proto/geometry.h"
#include "python/src/dtypes.h"
#include "python/src/factories.h"
#include "python/src/signature.h"
#include "python/src/source.h"

namespace tensorbroker::python {

Like::Like(py::handle input, py::handle dtype_object, const char* function) {
  if (!is_array_like(input)) Signature(function).refuse(input, "input", 1, "Tensor");
  const Tensor model = source_tensor(input);
  geometry = clone_geometry(model.geometry());
  dtype = to_dtype(dtype_object, model.dtype());
}

namespace {

py::object empty_like(Client& self, py::handle input, py::handle dtype, py::handle name, py::handle metadata) {
  const Label label(name, metadata);
  const Like like(input, dtype, "empty_like");
  return make(self, like.geometry, like.dtype, label, [](std::byte*) {});
}

py::object zeros_like(Client& self, py::handle input, py::handle dtype, py::handle name, py::handle metadata) {
  const Label label(name, metadata);
  const Like like(input, dtype, "zeros_like");
  const auto bytes = static_cast<std::size_t>(checked_nbytes(like.geometry.sizes, itemsize(like.dtype)));
  return make(self, like.geometry, like.dtype, label, [=](std::byte* block) { std::memset(block, 0, bytes); });
}

py::object ones_like(Client& self, py::handle input, py::handle dtype, py::handle name, py::handle metadata) {
  const Like like(input, dtype, "ones_like");
  return make_filled(self, like.geometry, like.dtype, true, Label(name, metadata));
}

py::object full_like(Client& self, py::handle input, py::handle fill_value, py::handle dtype, py::handle name,
                     py::handle metadata) {
  const Like like(input, dtype, "full_like");
  const Scalar value = to_scalar(fill_value, "full_like", "fill_value", 2);
  return make_filled(self, like.geometry, like.dtype, value, Label(name, metadata));
}

}  // namespace

void define_like(ClientClass& client) {
  const auto input = py::arg("input");
  const auto dtype = py::arg("dtype") = py::none();
  const auto name = py::arg("name") = py::none();
  const auto metadata = py::arg("metadata") = py::none();
  client.def("empty_like", &empty_like, input, py::kw_only(), dtype, name, metadata)
      .def("zeros_like", &zeros_like, input, py::kw_only(), dtype, name, metadata)
      .def("ones_like", &ones_like, input, py::kw_only(), dtype, name, metadata)
      .def("full_like", &full_like, input, py::arg("fill_value"), py::kw_only(), dtype, name, metadata);
}

}  // namespace tensorbroker::python
