#include "python/src/info_class.h"

#include <string>
#include <utility>

#include "python/src/arguments.h"
#include "python/src/display.h"
#include "python/src/dtypes.h"
#include "python/src/gil.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

struct PyInfo {
  Info info;
  Client client;
};

const char* kind_of(const PyInfo& self) { return self.info.is_bundle ? "bundle" : "tensor"; }

py::object dtype_of(const PyInfo& self) {
  if (self.info.is_bundle) return py::none();
  return dtype_object(self.info.dtype);
}

std::uint64_t holders_of(PyInfo& self) {
  Client client = self.client;
  const NoGil no_gil;
  return client.holders(self.info);
}

std::string repr(const PyInfo& self) {
  std::string text = "Info(" + quoted(self.info.name) + ", kind='" + kind_of(self) + "', ";
  if (!self.info.is_bundle) text += "dtype=torch." + std::string(name(self.info.dtype)) + ", ";
  text += "shape=" + Dims(self.info.shape).to_string() + ", nbytes=" + std::to_string(self.info.nbytes);
  return text + ", version=" + std::to_string(self.info.version) + (self.info.is_mutable ? ", mutable)" : ")");
}

template <class Map>
py::dict counts(const Map& map) {
  py::dict result;
  for (const auto& [name, value] : map) result[py::str(name)] = value;
  return result;
}

}  // namespace

void define_info(py::module_& module) {
  py::class_<PyInfo>(module, "Info")
      .def_property_readonly("name", [](const PyInfo& self) { return self.info.name; })
      .def_property_readonly("kind", &kind_of)
      .def_property_readonly("dtype", &dtype_of)
      .def_property_readonly("shape", [](const PyInfo& self) { return to_size(self.info.shape); })
      .def_property_readonly("nbytes", [](const PyInfo& self) { return self.info.nbytes; })
      .def_property_readonly("version", [](const PyInfo& self) { return self.info.version; })
      .def_property_readonly("mutable", [](const PyInfo& self) { return self.info.is_mutable; })
      .def_property_readonly("metadata", [](const PyInfo& self) { return from_metadata(self.info.metadata); })
      .def_property_readonly("created", [](const PyInfo& self) { return self.info.created; })
      .def_property_readonly("handle", [](const PyInfo& self) { return self.info.handle; })
      .def_property_readonly("holders", &holders_of)
      .def("__repr__", &repr);
}

py::object wrap(Info info, const Client& client) { return py::cast(PyInfo{std::move(info), client}); }

py::dict to_dict(const Stats& stats) {
  py::dict result;
  result["instance"] = stats.instance;
  result["broker_pid"] = stats.broker_pid;
  result["uptime"] = stats.uptime;
  result["capacity"] = stats.capacity;
  result["used"] = stats.used;
  result["live"] = stats.live;
  result["retired"] = stats.retired;
  result["free"] = stats.free;
  result["tensors"] = stats.tensors;
  result["bundles"] = stats.bundles;
  result["sessions"] = stats.sessions;
  result["limits"] = counts(stats.limits);
  result["counters"] = counts(stats.counters);
  return result;
}

}  // namespace tensorbroker::python
