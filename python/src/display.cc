#include "python/src/display.h"

namespace tensorbroker::python {

namespace py = pybind11;

std::string quoted(const std::string& name) { return py::cast<std::string>(py::repr(py::str(name))); }

py::object to_html(const char* function, const py::object& object) {
  return py::module_::import("tensorbroker._display").attr(function)(object);
}

}  // namespace tensorbroker::python
