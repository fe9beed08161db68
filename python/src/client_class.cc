#include "python/src/client_class.h"

#include <pybind11/stl.h>
#include <tensorbroker/error.h>

#include <string>

#include "client/launch.h"
#include "client/open_clients.h"
#include "python/src/arguments.h"
#include "python/src/display.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/info_class.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

constexpr double kForEver = 1e9;  // seconds

std::string to_instance(py::handle instance) {
  if (instance.is_none()) return {};
  if (!PyUnicode_Check(instance.ptr())) throw TypeError("an instance's name is a str, not " + type_name(instance));
  const std::string_view name = to_name(instance);
  if (name.empty()) throw InvalidArgumentError("an instance's name cannot be empty; leave it out for the default");
  return std::string(name);
}

// A user's name, or a uid as a number.
std::string to_owner(py::handle owner) {
  if (owner.is_none()) return {};
  const bool is_number = PyLong_Check(owner.ptr()) && !PyBool_Check(owner.ptr());
  if (!is_number && !PyUnicode_Check(owner.ptr())) {
    throw TypeError("an owner is a user's name (str) or uid (int), not " + type_name(owner));
  }
  const std::string text = py::str(owner);
  if (text.empty()) throw InvalidArgumentError("an owner's name cannot be empty; leave it out for this user");
  return text;
}

Client connect(py::handle instance, py::handle runtime_dir, std::optional<bool> autostart, py::handle timeout,
               py::handle capacity, py::handle owner) {
  ConnectOptions options;
  options.instance = to_instance(instance);
  options.runtime_dir = to_path(runtime_dir);
  options.autostart = autostart;
  options.timeout = to_timeout(timeout).value_or(std::chrono::duration<double>(kForEver));
  if (!capacity.is_none()) options.capacity = to_bytes(capacity);
  options.owner = to_owner(owner);
  const NoGil no_gil;
  return Client::connect(options);
}

void close(Client& self) {
  const NoGil no_gil;
  self.close();
}

py::dict stats(Client& self) {
  Stats stats;
  {
    const NoGil no_gil;
    stats = self.stats();
  }
  return to_dict(stats);
}

void reserve(Client& self, py::handle nbytes) {
  const std::uint64_t bytes = to_bytes(nbytes);
  const NoGil no_gil;
  self.reserve(bytes);
}

void stop_broker(Client& self, bool keep) {
  const NoGil no_gil;
  self.stop_broker(keep);
}

std::string repr(const Client& self) {
  return "Client(" + quoted(self.instance()) + (self.is_closed() ? ", closed)" : ")");
}

}  // namespace

InterruptCheck interrupt_check() {
  return [] {
    const WithGil gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  };
}

void define_client(py::module_& module) {
  ClientClass client(module, "Client");
  client.def_property_readonly("instance", [](const Client& self) { return self.instance(); })
      .def_property_readonly("closed", &Client::is_closed)
      .def("close", &close)
      .def("__enter__", [](const py::object& self) { return self; })
      .def("__exit__", [](Client& self, py::handle, py::handle, py::handle) { close(self); })
      .def("stats", &stats)
      .def("reserve", &reserve, py::arg("nbytes"))
      .def("_stop_broker", &stop_broker, py::arg("keep") = false)
      .def("__repr__", &repr);
  define_reading(client);
  define_writing(client);
  define_files(client);
  define_factories(client);
  define_watch(module, client);
  define_events(module, client);
  define_wait_queue(module, client);
  module.def("connect", &connect, py::arg("instance") = py::none(), py::kw_only(), py::arg("runtime_dir") = py::none(),
             py::arg("autostart") = py::none(), py::arg("timeout") = 10.0, py::arg("capacity") = py::none(),
             py::arg("owner") = py::none());
  module.def("_open_client", &find_open_client, py::arg("instance"));
  module.def("_set_daemon_path", &set_daemon_path, py::arg("path"));
}

}  // namespace tensorbroker::python
