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

Bundle::Member read_member(py::handle key, py::handle value, std::optional<DType> dtype) {
  if (!PyUnicode_Check(key.ptr())) throw TypeError("the names of a bundle's members are str, not " + type_name(key));
  std::string name(to_name(key));
  try {
    return {std::move(name), read_data(value, dtype)};
  } catch (const TypeError& error) {
    throw TypeError("the member '" + py::cast<std::string>(key) + "': " + error.what() +
                    "; leave out what is no tensor, or keep it in the metadata");
  }
}

std::vector<Bundle::Member> read_members(py::handle data, std::optional<DType> dtype) {
  if (const PyBundle* bundle = as_bundle(data); bundle != nullptr) return live(*bundle).members();
  std::vector<Bundle::Member> members;
  for (const py::handle item : py::iter(data.attr("items")())) {
    const auto pair = py::reinterpret_borrow<py::tuple>(item);
    members.push_back(read_member(pair[0], pair[1], dtype));
  }
  return members;
}

// Whether the mapping holds more than a flat bundle can: mappings of its own, or leaves that are no tensors.
bool is_nested(py::handle mapping, const py::object& is_nested_value) {
  if (as_bundle(mapping) != nullptr) return false;
  for (const py::handle value : py::iter(mapping.attr("values")())) {
    if (!is_array_like(value) && py::cast<bool>(is_nested_value(value))) return true;
  }
  return false;
}

py::object put(Client& self, py::handle name, py::object data, py::handle dtype, bool overwrite, py::object metadata) {
  const std::string_view text = to_name(name);
  const std::optional<DType> wanted = to_optional_dtype(dtype);
  if (is_mapping(data)) {
    const py::module_ nested = py::module_::import("tensorbroker._nested");
    if (is_nested(data, nested.attr("is_nested_value"))) {
      py::tuple flat = nested.attr("flatten")(data, metadata);
      data = flat[0];
      metadata = flat[1];
    }
    const std::vector<Bundle::Member> members = read_members(data, wanted);
    const PutOptions options{overwrite, to_metadata(metadata)};
    Bundle bundle;
    {
      const NoGil no_gil;
      bundle = wanted ? self.put_bundle(text, members, *wanted, options) : self.put_bundle(text, members, options);
    }
    return wrap(std::move(bundle));
  }
  const PutOptions options{overwrite, to_metadata(metadata)};
  const Tensor source = read_data(data, wanted);
  Tensor tensor;
  {
    const NoGil no_gil;
    tensor = self.put(text, source, wanted.value_or(source.dtype()), options);
  }
  return wrap(std::move(tensor));
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
           py::arg("overwrite") = true, py::arg("metadata") = py::none())
      .def("create", &create, py::arg("name"), py::arg("shape"), py::arg("dtype") = py::none(), py::kw_only(),
           py::arg("overwrite") = true, py::arg("metadata") = py::none())
      .def("delete", &remove, py::arg("name"));
}

}  // namespace tensorbroker::python
