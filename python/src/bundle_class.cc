#include "python/src/bundle_class.h"

#include <tensorbroker/error.h>

#include <string>
#include <vector>

#include "client/open.h"
#include "python/src/arguments.h"
#include "python/src/array.h"
#include "python/src/display.h"
#include "python/src/dlpack.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/py_tensor.h"

namespace tensorbroker::python {
namespace {

py::object get_item(const PyBundle& self, py::handle member) {
  if (!PyUnicode_Check(member.ptr()))
    throw TypeError("the members of a bundle have str names, not " + type_name(member));
  return wrap(live(self).at(to_name(member)));
}

bool contains(const PyBundle& self, py::handle member) {
  return PyUnicode_Check(member.ptr()) && live(self).contains(to_name(member));
}

py::object iterate(const PyBundle& self) {
  py::list names;
  for (const auto& [name, tensor] : live(self).members()) names.append(name);
  return py::iter(names);
}

// For completion, which wants no errors.
py::list names(const PyBundle& self) { return self.bundle.defined() ? py::list(iterate(self)) : py::list(); }

// keys(), values() and items() are the views that every Mapping has.
py::object mapping_view(const char* type, const py::object& self) {
  live(*as_bundle(self));
  return py::module_::import("collections.abc").attr(type)(self);
}

py::dict to_numpy(const PyBundle& self) {
  const Bundle& bundle = live(self);
  const py::object owner = new_owner(bundle.storage());  // of all of them
  py::dict result;
  for (const auto& [name, tensor] : bundle.members()) result[py::str(name)] = to_array(tensor, owner);
  return result;
}

py::dict to_torch_dict(const PyBundle& self) {
  const Bundle bundle = live(self);
  std::vector<Tensor> tensors;
  for (const auto& [name, tensor] : bundle.members()) tensors.push_back(tensor);
  const std::vector<py::object> converted = to_torch(tensors);
  py::dict result;
  for (std::size_t i = 0; i < converted.size(); ++i) result[py::str(bundle.members()[i].first)] = converted[i];
  return result;
}

std::string repr(const PyBundle& self) {
  if (!self.bundle.defined()) return "Bundle(<released>)";
  if (self.bundle.is_corrupt()) return "Bundle(<corrupt>)";
  const std::size_t size = self.bundle.size();
  return "Bundle(" + quoted(self.bundle.name()) + ", version=" + std::to_string(self.bundle.version()) + ", " +
         std::to_string(size) + (size == 1 ? " tensor, " : " tensors, ") + std::to_string(self.bundle.nbytes()) +
         " bytes)";
}

void release(PyBundle& self) {
  Bundle last = std::move(self.bundle);
  self.bundle = {};
  const NoGil no_gil;
  last = {};
}

py::object reduce(const PyBundle& self) {
  const Bundle bundle = live(self);
  const std::string handle = bundle.handle();
  std::uint64_t token = 0;
  {
    const NoGil no_gil;
    token = send(bundle.storage());
  }
  return py::make_tuple(py::module_::import("tensorbroker._default").attr("receive"), py::make_tuple(handle, token));
}

using BundleClass = py::class_<PyBundle>;

void define_mapping(BundleClass& bundle) {
  bundle.def("__getitem__", &get_item)
      .def("__contains__", &contains)
      .def("__len__", [](const PyBundle& self) { return live(self).size(); })
      .def("__iter__", &iterate)
      .def("keys", [](const py::object& self) { return mapping_view("KeysView", self); })
      .def("values", [](const py::object& self) { return mapping_view("ValuesView", self); })
      .def("items", [](const py::object& self) { return mapping_view("ItemsView", self); })
      .def(
          "get",
          [](const PyBundle& self, py::handle member, const py::object& otherwise) {
            return contains(self, member) ? get_item(self, member) : otherwise;
          },
          py::arg("member"), py::arg("default") = py::none());
}

}  // namespace

void define_bundle(py::module_& module) {
  BundleClass bundle(module, "Bundle");
  define_mapping(bundle);
  bundle
      .def(
          "nested",
          [](const py::object& self, py::handle form) {
            live(*as_bundle(self));
            return py::module_::import("tensorbroker._nested").attr("restore")(self, form);
          },
          py::arg("form") = "tensor")
      .def("numpy", &to_numpy)
      .def("torch", &to_torch_dict)
      .def_property_readonly("name", [](const PyBundle& self) { return live(self).name(); })
      .def_property_readonly("version", [](const PyBundle& self) { return live(self).version(); })
      .def_property_readonly("metadata", [](const PyBundle& self) { return from_metadata(live(self).metadata()); })
      .def_property_readonly("nbytes", [](const PyBundle& self) { return live(self).nbytes(); })
      .def_property_readonly("corrupt", [](const PyBundle& self) { return live(self).is_corrupt(); })
      .def_property_readonly("handle", [](const PyBundle& self) { return live(self).handle(); })
      .def("release", &release)
      .def("__repr__", &repr)
      .def("_repr_html_", [](const py::object& self) { return to_html("bundle_html", self); })
      .def("_ipython_key_completions_", &names)
      .def("__reduce__", &reduce);
}

}  // namespace tensorbroker::python
