#include "python/src/factories.h"

#include <tensorbroker/error.h>

#include <cstring>
#include <utility>

#include "client/bundle_layout.h"
#include "client/client_impl.h"
#include "client/decode.h"
#include "client/metadata.h"
#include "client/storage.h"
#include "client/strided.h"
#include "client/tensor_memory.h"
#include "proto/dense_strides.h"
#include "proto/geometry.h"
#include "proto/header.h"
#include "proto/name.h"
#include "python/src/arguments.h"
#include "python/src/dtypes.h"
#include "python/src/gil.h"
#include "python/src/scalars.h"
#include "python/src/signature.h"
#include "python/src/source.h"

namespace tensorbroker::python {

Label::Label(py::handle name_object, py::handle metadata_object) : metadata(to_metadata(metadata_object)) {
  if (!name_object.is_none()) {
    name = to_name(name_object);
    check_name(name);
  }
  check_metadata(metadata);
}

Tensor make(Client& client, const Geometry& geometry, DType dtype, std::uint64_t nbytes, const Label& label,
            const Fill& fill_block) {
  const NoGil no_gil;
  const auto offset = static_cast<std::uint64_t>(geometry.storage_offset) * itemsize(dtype);
  const TensorSpec spec = make_spec({}, dtype, geometry, offset);
  const std::vector<std::byte> header = encode_header({&spec, 1}, label.metadata);
  const Publication publication{
      .name = label.name, .header = header, .nbytes = nbytes, .is_mutable = true, .overwrite = false};
  return client.impl()->with_attachment([&](Attachment& attachment, const Limit& limit) {
    return decode_tensor(publish_filled(attachment, publication, fill_block, limit));
  });
}

py::object make(Client& client, const Geometry& geometry, DType dtype, const Label& label, const Fill& fill_block) {
  const auto bytes = static_cast<std::uint64_t>(checked_nbytes(geometry.sizes, itemsize(dtype)));
  return wrap(make(client, geometry, dtype, bytes, label, fill_block));
}

py::object make_filled(Client& client, const Geometry& geometry, DType dtype, const Scalar& value, const Label& label) {
  if (numel(geometry) == 0) fill(geometry, dtype, nullptr, value);  // an empty block is not filled
  return make(client, geometry, dtype, label, [&](std::byte* block) { fill(geometry, dtype, block, value); });
}

Scalar to_scalar(py::handle value, const char* function, const char* name, int position) {
  auto number = to_number(value);
  if (number) {
    check_64_bits(*number);
    return number->value;
  }
  if (as_tensor(value) != nullptr || is_torch_tensor(value)) {
    const Tensor tensor = source_tensor(value);
    if (tensor.dim() == 0) return tensor.item();
  }
  Signature(function).refuse(value, name, position, "Number");
}

DType default_dtype(const Scalar& value) noexcept {
  if (std::holds_alternative<bool>(value)) return kBool;
  if (std::holds_alternative<double>(value)) return kFloat32;
  return std::holds_alternative<std::complex<double>>(value) ? kComplex64 : kInt64;
}

void refuse_dtype(const char* function, DType dtype) {
  const std::string message = std::string(function) + "() has no elements of dtype " + std::string(name(dtype)) +
                              "; give another dtype, or convert with to()";
  PyErr_SetString(PyExc_NotImplementedError, message.c_str());
  throw py::error_already_set();
}

// A copy of the tensor's storage in a block of the broker's, and the same view of it.
Tensor share(const py::object& client, const Tensor& tensor) {
  const detail::StorageRef& storage = tensor.storage();
  const std::size_t bytes = storage->nbytes();
  const std::size_t begin = tensor.numel() == 0 ? 0 : static_cast<std::size_t>(base_of(tensor) - storage->data());
  if (begin % tensor.itemsize() != 0) {
    throw RuntimeError("share_memory_() of a view that begins within an element of its storage: clone() it first");
  }
  Geometry geometry = tensor.geometry();
  geometry.storage_offset += static_cast<std::int64_t>(begin / tensor.itemsize());
  if (tensor.numel() == 0) geometry.storage_offset = 0;
  const Tensor moved = make(py::cast<Client&>(client), geometry, tensor.dtype(), bytes, Label(py::none(), py::none()),
                            [&](std::byte* block) { std::memcpy(block, storage->data(), bytes); });
  return Tensor(moved.storage(), moved.storage()->data(), tensor.dtype(), std::move(geometry));
}

namespace {

py::object tensor(Client& self, py::handle data, py::handle dtype, py::handle name, py::handle metadata) {
  const Label label(name, metadata);
  const std::optional<DType> wanted = to_optional_dtype(dtype);
  const Tensor source = read_data(data, wanted);
  const Geometry& its = source.geometry();
  const Geometry geometry = has_negative_stride(its) ? contiguous_geometry(its.sizes) : clone_geometry(its);
  const DType type = wanted.value_or(source.dtype());
  return make(self, geometry, type, label, [&](std::byte* block) { copy_elements(source, geometry, type, block); });
}

Geometry geometry_for(const py::args& size, py::handle named_size, const char* function) {
  const Signature signature(function);
  if (named_size.is_none()) return contiguous_geometry(signature.integers(size, "size"));
  if (!size.empty()) signature.refuse(size, "size", 1, "given once, by place or by name");
  return contiguous_geometry(signature.tuple(named_size, "size", 1, true));
}

py::object empty(Client& self, const py::args& size, py::handle named_size, py::handle dtype, py::handle name,
                 py::handle metadata) {
  const Label label(name, metadata);
  return make(self, geometry_for(size, named_size, "empty"), to_dtype(dtype, kFloat32), label, [](std::byte*) {});
}

py::object zeros(Client& self, const py::args& size, py::handle named_size, py::handle dtype, py::handle name,
                 py::handle metadata) {
  const Label label(name, metadata);
  const DType type = to_dtype(dtype, kFloat32);
  const Geometry geometry = geometry_for(size, named_size, "zeros");
  const auto bytes = static_cast<std::size_t>(checked_nbytes(geometry.sizes, itemsize(type)));
  return make(self, geometry, type, label, [=](std::byte* block) { std::memset(block, 0, bytes); });
}

py::object ones(Client& self, const py::args& size, py::handle named_size, py::handle dtype, py::handle name,
                py::handle metadata) {
  const Label label(name, metadata);
  return make_filled(self, geometry_for(size, named_size, "ones"), to_dtype(dtype, kFloat32), true, label);
}

py::object full(Client& self, py::handle size, py::handle fill_value, py::handle dtype, py::handle name,
                py::handle metadata) {
  const Label label(name, metadata);
  const Scalar value = to_scalar(fill_value, "full", "fill_value", 2);
  const Dims sizes = Signature("full").tuple(size, "size", 1, true);
  return make_filled(self, contiguous_geometry(sizes), to_dtype(dtype, default_dtype(value)), value, label);
}

}  // namespace

void define_factories(ClientClass& client) {
  const auto size = py::arg("size") = py::none();
  const auto dtype = py::arg("dtype") = py::none();
  const auto name = py::arg("name") = py::none();
  const auto metadata = py::arg("metadata") = py::none();
  client.def("tensor", &tensor, py::arg("data"), py::kw_only(), dtype, name, metadata)
      .def("empty", &empty, size, dtype, name, metadata)
      .def("zeros", &zeros, size, dtype, name, metadata)
      .def("ones", &ones, size, dtype, name, metadata)
      .def("full", &full, py::arg("size"), py::arg("fill_value"), py::kw_only(), dtype, name, metadata);
  define_like(client);
  define_sequences(client);
  define_random(client);
}

}  // namespace tensorbroker::python
