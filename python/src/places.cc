#include "python/src/places.h"

#include <optional>
#include <string>

#include "client/launch.h"
#include "proto/instance_lock.h"
#include "proto/runtime_dir.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

py::dict places(const std::string& instance, const std::string& runtime_dir, const std::string& owner) {
  ConnectOptions options;
  options.instance = instance;
  options.runtime_dir = runtime_dir;
  options.owner = owner;
  const Target target = make_target(options);
  py::dict result;
  result["instance"] = target.name.instance;
  result["owner"] = target.name.uid;
  result["runtime_dir"] = target.runtime_dir;
  result["socket"] = target.runtime_dir + "/" + target.name.instance + ".sock";
  result["log"] = log_path(target.runtime_dir, target.name.instance);
  result["lock"] = target.name.lock_path();
  result["prefix"] = target.name.prefix();
  result["daemon"] = find_daemon();
  const auto living = living_broker(target.name);
  result["broker_pid"] = living ? py::object(py::int_(living->pid)) : py::none();
  result["broker_runtime_dir"] = living ? py::object(py::str(living->runtime_dir)) : py::none();
  return result;
}

}  // namespace

void define_places(py::module_& module) {
  module.def("_places", &places, py::arg("instance") = "", py::arg("runtime_dir") = "", py::arg("owner") = "");
}

}  // namespace tensorbroker::python
