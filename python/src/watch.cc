// watch(): each version of a name as it appears, in a for loop; python/tensorbroker/_async.py makes it one for
// `async for`, too.

#include <tensorbroker/error.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "client/wait.h"
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
  WaitOptions options;
  bool starts_late;  // start="next", and what is there now is not known yet
};

std::uint64_t version_of(const Object& object) {
  return std::visit([](const auto& value) { return value.version(); }, object);
}

bool starts_at_next(py::handle start) {
  const std::string text = to_text(start);
  if (text == "next") return true;
  if (text == "current") return false;
  refuse_word(start, "start must be 'current' (the version of now comes first) or 'next'");
}

Watch watch(const Client& self, py::handle name, py::handle start, py::handle timeout, py::handle spin) {
  Watch result{
      self, std::string(to_name(name)), 0, to_timeout(timeout), {.spin = to_spin(spin)}, starts_at_next(start)};
  detail::StorageRef current;
  const LookupStatus status = look_at_once(*self.impl(), result.name, &current);  // says what is wrong with the name
  if (result.starts_late && current) result.version = tensorbroker::version_of(current->generation());
  if (status == LookupStatus::kHeld || status == LookupStatus::kMissing) result.starts_late = false;
  return result;
}

// For event loops, which do the waiting themselves: what to wait for ...
py::tuple awaited(const Watch& self) {
  const py::object timeout = self.timeout ? py::object(py::float_(self.timeout->count())) : py::none();
  return py::make_tuple(self.client, self.name, self.version, timeout, self.starts_late);
}

// ... and what came: False where another thread or task has given that version out meanwhile.
bool saw(Watch& self, std::uint64_t version) {
  const bool is_newer = version > self.version;
  self.version = std::max(self.version, version);
  self.starts_late = false;
  return is_newer;
}

Object wait_for_version(Watch watched) {
  const NoGil no_gil;
  if (watched.starts_late) {
    if (const auto current = watched.client.find_object(watched.name)) watched.version = version_of(*current);
  }
  auto found =
      watched.client.wait_object(watched.name, watched.version, watched.timeout, interrupt_check(), watched.options);
  if (!found) {
    throw TimeoutError("no version of '" + watched.name + "' newer than " + std::to_string(watched.version) +
                       " came in time");
  }
  return *std::move(found);
}

py::object next_version(Watch& self) {
  for (;;) {
    Object found = wait_for_version(self);
    if (saw(self, version_of(found))) return wrap(std::move(found));
  }
}

}  // namespace

void define_watch(py::module_& module, ClientClass& client) {
  py::class_<Watch>(module, "Watch")
      .def("__iter__", [](const py::object& self) { return self; })
      .def("__next__", &next_version)
      .def("_awaited", &awaited)
      .def("_saw", &saw, py::arg("version"));
  client.def("watch", &watch, py::arg("name"), py::kw_only(), py::arg("start") = "current",
             py::arg("timeout") = py::none(), py::arg("spin") = 0.0);
}

}  // namespace tensorbroker::python
