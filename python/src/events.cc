// events(): publications and deletions as they happen, in a for loop.

#include <tensorbroker/error.h>
#include <tensorbroker/events.h>

#include <optional>
#include <string>
#include <utility>

#include "python/src/arguments.h"
#include "python/src/client_class.h"
#include "python/src/errors.h"
#include "python/src/gil.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

struct PyEvents {
  Events events;
  Client::Timeout timeout;
  bool busy = false;  // under the GIL
};

class Busy {
 public:
  explicit Busy(PyEvents& events) : busy_(events.busy) {
    if (busy_) throw RuntimeError("another thread is reading these events: call events() once for each thread");
    busy_ = true;
  }
  ~Busy() { busy_ = false; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  bool& busy_;
};

const char* kind_of(const Event& event) {
  switch (event.kind) {
    case EventKind::kPublish:
      return "publish";
    case EventKind::kDelete:
      return "delete";
    case EventKind::kOverflow:
      break;
  }
  return "overflow";
}

std::string repr(const Event& event) {
  const std::string kind = std::string("Event('") + kind_of(event) + "'";
  if (event.kind == EventKind::kOverflow) return kind + ")";
  return kind + ", " + py::cast<std::string>(py::repr(py::str(event.name))) +
         ", version=" + std::to_string(event.version) + ")";
}

PyEvents events(const Client& self, py::handle prefix, py::handle timeout) {
  const std::string text(to_name(prefix));
  const Client::Timeout within = to_timeout(timeout);
  const NoGil no_gil;
  return {Events(self, text), within};
}

Event next_event(PyEvents& self) {
  const Busy busy(self);
  std::optional<Event> event;
  {
    const NoGil no_gil;
    event = self.events.next(self.timeout, interrupt_check());
  }
  if (!event) throw TimeoutError("no publication or deletion came in time");
  return *std::move(event);
}

}  // namespace

void define_events(py::module_& module, ClientClass& client) {
  py::class_<Event>(module, "Event")
      .def_property_readonly("kind", &kind_of)
      .def_property_readonly("name", [](const Event& event) { return event.name; })
      .def_property_readonly("version", [](const Event& event) { return event.version; })
      .def("__repr__", &repr);
  py::class_<PyEvents>(module, "Events")
      .def("__iter__", [](const py::object& self) { return self; })
      .def("__next__", &next_event);
  client.def("events", &events, py::arg("prefix") = "", py::kw_only(), py::arg("timeout") = py::none());
}

}  // namespace tensorbroker::python
