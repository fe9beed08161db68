// Where an instance's things are, for the command line and its doctor. Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_PLACES_H_
#define TENSORBROKER_PYTHON_SRC_PLACES_H_

#include <pybind11/pybind11.h>

namespace tensorbroker::python {

// Adds _places(instance, runtime_dir): a dict of paths, and of the living broker's pid and directory.
void define_places(pybind11::module_& module);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_PLACES_H_
