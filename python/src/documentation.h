// What help() shows of the extension: Python's signatures instead of pybind11's, and the docstrings of the stub.
//
// python/docstrings.py makes a table of the stub's docstrings when the extension is built. The parameters and their
// defaults are those that the bindings were defined with, so that the stub can be checked against them.

#ifndef TENSORBROKER_PYTHON_SRC_DOCUMENTATION_H_
#define TENSORBROKER_PYTHON_SRC_DOCUMENTATION_H_

#include <pybind11/pybind11.h>

namespace tensorbroker::python {

// Documents every function, class and property of `module`. Call once, with the GIL, when all are defined.
void document(pybind11::module_& module);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_DOCUMENTATION_H_
