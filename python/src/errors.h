// The exception classes of the package, and the translation of the library's errors into them.
//
// tensorbroker.Error is the base; each other class also derives from the builtin that a caller expects. What torch
// raises as RuntimeError, IndexError, TypeError or ValueError is exactly that builtin.

#ifndef TENSORBROKER_PYTHON_SRC_ERRORS_H_
#define TENSORBROKER_PYTHON_SRC_ERRORS_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/error.h>

#include <string>

namespace tensorbroker::python {

// Creates the classes in `module` and registers the translator. Call once.
void define_errors(pybind11::module_& module);

// Sets the Python error that belongs to `error`.
void set_python_error(const Error& error) noexcept;

// "'int'" and the like, for messages.
std::string type_name(pybind11::handle object);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_ERRORS_H_
