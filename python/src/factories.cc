// torch's factories: mutable tensors that the broker allocates, filled before anybody sees them.

#include <tensorbroker/error.h>

#include <cstring>
#include <string>
#include <utility>

#include "client/bundle_layout.h"
#include "client/client_impl.h"
#include "client/decode.h"
#include "client/metadata.h"
#include "client/publish.h"
#include "client/strided.h"
#include "proto/geometry.h"
#include "proto/header.h"
#include "proto/name.h"
#include "python/src/arguments.h"
#include "python/src/client_class.h"
#include "python/src/dtypes.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/py_tensor.h"
#include "python/src/scalars.h"
#include "python/src/source.h"

namespace tensorbroker::python {
namespace {

// Name and metadata of a tensor that is made; both may be empty.
struct Label {
  Label(py::handle name_object, py::handle metadata_object) : metadata(to_metadata(metadata_object)) {
    if (!name_object.is_none()) {
      name = to_name(name_object);
      check_name(name);
    }
    check_metadata(metadata);
  }

  std::string_view name;
  std::string metadata;
};

// A mutable tensor of this geometry, whose elements `fill_block` writes without the GIL.
py::object make(Client& client, const Geometry& geometry, DType dtype, const Label& label, const Fill& fill_block) {
  Tensor made;
  {
    const NoGil no_gil;
    const auto bytes = static_cast<std::uint64_t>(checked_nbytes(geometry.sizes, itemsize(dtype)));
    const TensorSpec spec = make_spec({}, dtype, geometry, 0);
    const std::vector<std::byte> header = encode_header({&spec, 1}, label.metadata);
    const Publication publication{
        .name = label.name, .header = header, .nbytes = bytes, .is_mutable = true, .overwrite = false};
    made = client.impl()->with_attachment([&](Attachment& attachment, const Limit& limit) {
      return decode_tensor(publish_filled(attachment, publication, fill_block, limit));
    });
  }
  return wrap(std::move(made));
}

py::object make_full(Client& client, const Dims& sizes, const Scalar& value, DType dtype, const Label& label) {
  const Geometry geometry = contiguous_geometry(sizes);
  return make(client, geometry, dtype, label, [&](std::byte* block) { fill(geometry, dtype, block, value); });
}

py::object tensor(Client& self, py::handle data, py::handle dtype, py::handle name, py::handle metadata) {
  const Label label(name, metadata);
  const Tensor source = read_data(data, dtype);
  const Geometry geometry = sealed_geometry(source);
  return make(self, geometry, source.dtype(), label, [&](std::byte* block) { copy_elements(source, geometry, block); });
}

py::object empty(Client& self, const py::args& size, py::handle dtype, py::handle name, py::handle metadata) {
  const Label label(name, metadata);
  return make(self, contiguous_geometry(to_sizes(size, "empty")), to_dtype(dtype, kFloat32), label, [](std::byte*) {});
}

py::object zeros(Client& self, const py::args& size, py::handle dtype, py::handle name, py::handle metadata) {
  const Label label(name, metadata);
  const DType type = to_dtype(dtype, kFloat32);
  const Geometry geometry = contiguous_geometry(to_sizes(size, "zeros"));
  const auto bytes = static_cast<std::size_t>(checked_nbytes(geometry.sizes, itemsize(type)));
  return make(self, geometry, type, label, [=](std::byte* block) { std::memset(block, 0, bytes); });
}

py::object ones(Client& self, const py::args& size, py::handle dtype, py::handle name, py::handle metadata) {
  const Label label(name, metadata);
  return make_full(self, to_sizes(size, "ones"), std::int64_t{1}, to_dtype(dtype, kFloat32), label);
}

py::object full(Client& self, py::handle size, py::handle fill_value, py::handle dtype, py::handle name,
                py::handle metadata) {
  const Label label(name, metadata);
  const auto number = to_number(fill_value);
  if (!number) throw TypeError("full(): fill_value must be a number, not " + type_name(fill_value));
  const DType type = to_dtype(dtype, number->dtype);
  check_fits(*number, type);
  return make_full(self, to_sizes(size, "full"), number->value, type, label);
}

}  // namespace

void define_factories(ClientClass& client) {
  const auto dtype = py::arg("dtype") = py::none();
  const auto name = py::arg("name") = py::none();
  const auto metadata = py::arg("metadata") = py::none();
  client.def("tensor", &tensor, py::arg("data"), py::kw_only(), dtype, name, metadata)
      .def("empty", &empty, dtype, name, metadata)
      .def("zeros", &zeros, dtype, name, metadata)
      .def("ones", &ones, dtype, name, metadata)
      .def("full", &full, py::arg("size"), py::arg("fill_value"), py::kw_only(), dtype, name, metadata);
}

}  // namespace tensorbroker::python
