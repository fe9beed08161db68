#include <tensorbroker/error.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "python/src/arguments.h"
#include "python/src/client_class.h"
#include "python/src/dtypes.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/py_tensor.h"
#include "python/src/signature.h"
#include "python/src/source.h"

namespace tensorbroker::python {
namespace {

bool is_mapping(py::handle data) {
  if (PyDict_Check(data.ptr()) || as_bundle(data) != nullptr) return true;
  static PyObject* const mapping = py::object(py::module_::import("collections.abc").attr("Mapping")).release().ptr();
  const int is = PyObject_IsInstance(data.ptr(), mapping);
  if (is < 0) throw py::error_already_set();
  return is == 1;
}

// What errors say of a mapping's names and values, and what to do about one that is no tensor.
struct ValueKind {
  const char* names;
  const char* value;
  const char* remedy;
};
constexpr ValueKind kMember{"the names of a bundle's members are str", "the member",
                            "leave out what is no tensor, or keep it in the metadata"};
constexpr ValueKind kTensor{"names are str", "the tensor", "put_many() puts tensors; for bundles call put()"};

Bundle::Member read_named(py::handle key, py::handle value, std::optional<DType> dtype, const ValueKind& kind) {
  if (!PyUnicode_Check(key.ptr())) throw TypeError(std::string(kind.names) + ", not " + type_name(key));
  std::string name(to_name(key));
  try {
    return {std::move(name), read_data(value, dtype)};
  } catch (const TypeError& error) {
    throw TypeError(std::string(kind.value) + " '" + py::cast<std::string>(key) + "': " + error.what() + "; " +
                    kind.remedy);
  }
}

std::vector<Bundle::Member> read_mapping(py::handle data, std::optional<DType> dtype, const ValueKind& kind) {
  std::vector<Bundle::Member> tensors;
  for (const py::handle item : py::iter(data.attr("items")())) {
    const auto pair = py::reinterpret_borrow<py::tuple>(item);
    tensors.push_back(read_named(pair[0], pair[1], dtype, kind));
  }
  return tensors;
}

std::vector<Bundle::Member> read_members(py::handle data, std::optional<DType> dtype) {
  if (const PyBundle* bundle = as_bundle(data); bundle != nullptr) return live(*bundle).members();
  return read_mapping(data, dtype, kMember);
}

// Whether the mapping holds more than a flat bundle can: mappings of its own, or leaves that are no tensors.
bool is_nested(py::handle mapping, const py::object& is_nested_value) {
  if (as_bundle(mapping) != nullptr) return false;
  for (const py::handle value : py::iter(mapping.attr("values")())) {
    if (!is_array_like(value) && py::cast<bool>(is_nested_value(value))) return true;
  }
  return false;
}

// None where it is not waited for.
py::object put_bundle(Client& self, std::string_view name, const std::vector<Bundle::Member>& members,
                      std::optional<DType> dtype, const PutOptions& options, bool wait) {
  Bundle bundle;
  {
    const NoGil no_gil;
    if (!wait) {
      self.put_bundle_nowait(name, members, dtype, options);
    } else {
      bundle = dtype ? self.put_bundle(name, members, *dtype, options) : self.put_bundle(name, members, options);
    }
  }
  return wait ? wrap(std::move(bundle)) : py::none();
}

py::object put_tensor(Client& self, std::string_view name, const Tensor& data, DType dtype, const PutOptions& options,
                      bool wait) {
  Tensor tensor;
  {
    const NoGil no_gil;
    if (wait) {
      tensor = self.put(name, data, dtype, options);
    } else {
      self.put_nowait(name, data, dtype, options);
    }
  }
  return wait ? wrap(std::move(tensor)) : py::none();
}

py::object put(Client& self, py::handle name, py::object data, py::handle dtype, bool overwrite, py::object metadata,
               bool wait) {
  const std::string_view text = to_name(name);
  const std::optional<DType> wanted = to_optional_dtype(dtype);
  if (is_mapping(data)) {
    const py::module_ nested = py::module_::import("tensorbroker._nested");
    if (is_nested(data, nested.attr("is_nested_value"))) {
      py::tuple flat = nested.attr("flatten")(data, metadata);
      data = flat[0];
      metadata = flat[1];
    }
    return put_bundle(self, text, read_members(data, wanted), wanted, {overwrite, to_metadata(metadata)}, wait);
  }
  const PutOptions options{overwrite, to_metadata(metadata)};
  const Tensor source = read_data(data, wanted);
  return put_tensor(self, text, source, wanted.value_or(source.dtype()), options, wait);
}

void flush(Client& self) {
  const NoGil no_gil;
  self.flush();
}

py::dict put_many(Client& self, py::handle tensors, py::handle dtype, bool overwrite, py::handle metadata) {
  const std::optional<DType> wanted = to_optional_dtype(dtype);
  if (!is_mapping(tensors))
    throw TypeError("put_many() takes a mapping of names to tensors, not " + type_name(tensors));
  const std::vector<Bundle::Member> sources = read_mapping(tensors, wanted, kTensor);
  const PutOptions options{overwrite, to_metadata(metadata)};
  std::vector<Tensor> made;
  {
    const NoGil no_gil;
    made = self.put_many(sources, wanted, options);
  }
  py::dict result;
  for (std::size_t i = 0; i < made.size(); ++i) result[py::str(sources[i].first)] = wrap(std::move(made[i]));
  return result;
}

py::object create(Client& self, py::handle name, py::handle shape, py::handle dtype, bool overwrite,
                  py::handle metadata) {
  const std::string_view text = to_name(name);
  const Dims sizes = Signature("create").tuple(shape, "shape", 2, true);
  const DType type = to_dtype(dtype, kFloat32);
  const PutOptions options{overwrite, to_metadata(metadata)};
  Tensor draft;
  {
    const NoGil no_gil;
    draft = self.create(text, sizes, type, options);
  }
  return wrap_draft(std::move(draft));
}

void remove(Client& self, py::handle name) {
  const std::string_view text = to_name(name);
  const NoGil no_gil;
  self.remove(text);
}

}  // namespace

void define_writing(ClientClass& client) {
  client
      .def("put", &put, py::arg("name"), py::arg("data"), py::kw_only(), py::arg("dtype") = py::none(),
           py::arg("overwrite") = true, py::arg("metadata") = py::none(), py::arg("wait") = true)
      .def("flush", &flush)
      .def("put_many", &put_many, py::arg("tensors"), py::kw_only(), py::arg("dtype") = py::none(),
           py::arg("overwrite") = true, py::arg("metadata") = py::none())
      .def("create", &create, py::arg("name"), py::arg("shape"), py::arg("dtype") = py::none(), py::kw_only(),
           py::arg("overwrite") = true, py::arg("metadata") = py::none())
      .def("delete", &remove, py::arg("name"));
}

}  // namespace tensorbroker::python
