// Parts of what objects show of themselves.
//
// Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_DISPLAY_H_
#define TENSORBROKER_PYTHON_SRC_DISPLAY_H_

#include <pybind11/pybind11.h>

#include <string>

namespace tensorbroker::python {

// A name as Python's repr() quotes it.
std::string quoted(const std::string& name);

// The HTML that a function of _display.py, which is imported by the first call, makes of the object.
pybind11::object to_html(const char* function, const pybind11::object& object);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_DISPLAY_H_
