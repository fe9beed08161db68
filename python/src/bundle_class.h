// tensorbroker.Bundle. Call once, with the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_BUNDLE_CLASS_H_
#define TENSORBROKER_PYTHON_SRC_BUNDLE_CLASS_H_

#include <pybind11/pybind11.h>

namespace tensorbroker::python {

void define_bundle(pybind11::module_& module);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_BUNDLE_CLASS_H_
