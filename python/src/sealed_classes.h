// Classes whose objects come from the extension alone: calling one, its __new__, or a copy or pickle by way of them is
// a TypeError. Without this an object over no C++ value could be had, and every use of it would end the process.

#ifndef TENSORBROKER_PYTHON_SRC_SEALED_CLASSES_H_
#define TENSORBROKER_PYTHON_SRC_SEALED_CLASSES_H_

#include <pybind11/pybind11.h>

namespace tensorbroker::python {

// Seals every class of `module` that has no constructor. Call once, with the GIL, when all are defined.
void seal_classes(const pybind11::module_& module);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_SEALED_CLASSES_H_
