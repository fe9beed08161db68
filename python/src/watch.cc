// watch(): each version of a name as it appears, in a for loop.

#include <tensorbroker/error.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "python/src/arguments.h"
#include "python/src/client_class.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/py_tensor.h"

namespace tensorbroker::python {
namespace {

struct Watch {
  Client client;
  std::string name;
  std::uint64_t version;  // the last one that was given out
  Client::Timeout timeout;
};

std::uint64_t version_of(const Object& object) {
  return std::visit([](const auto& value) { return value.version(); }, object);
}

bool starts_at_next(py::handle start) {
  const std::string text = to_text(start);
  if (text == "next") return true;
  if (text == "current") return false;
  throw InvalidArgumentError("start must be 'current' (the version of now comes first) or 'next', not " +
                             py::cast<std::string>(py::repr(start)));
}

Watch watch(const Client& self, py::handle name, py::handle start, py::handle timeout) {
  Watch result{self, std::string(to_name(name)), 0, to_timeout(timeout)};
  const bool next = starts_at_next(start);
  const NoGil no_gil;
  const std::optional<Object> current = self.find_object(result.name);  // says what is wrong with the name
  if (next && current) result.version = version_of(*current);
  return result;
}

py::object next_version(Watch& self) {
  std::optional<Object> found;
  const Watch watched = self;
  {
    const NoGil no_gil;
    found = watched.client.wait_object(watched.name, watched.version, watched.timeout, interrupt_check());
    if (!found) {
      throw TimeoutError("no version of '" + watched.name + "' newer than " + std::to_string(watched.version) +
                         " came in time");
    }
  }
  self.version = std::max(self.version, version_of(*found));
  return wrap(*std::move(found));
}

}  // namespace

void define_watch(py::module_& module, ClientClass& client) {
  py::class_<Watch>(module, "Watch")
      .def("__iter__", [](const py::object& self) { return self; })
      .def("__next__", &next_version);
  client.def("watch", &watch, py::arg("name"), py::kw_only(), py::arg("start") = "current",
             py::arg("timeout") = py::none());
}

}  // namespace tensorbroker::python
