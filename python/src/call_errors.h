// What a call says whose arguments fit no parameter: "put() takes (name, data, *, dtype=None, ...), not (str, list,
// overwite=bool)", instead of pybind11's list of C++ signatures.
//
// Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_CALL_ERRORS_H_
#define TENSORBROKER_PYTHON_SRC_CALL_ERRORS_H_

#include <pybind11/pybind11.h>

namespace tensorbroker::python {

// For every function of the module and of its classes. Call it once, after all of them are defined.
void reword_call_errors(const pybind11::module_& module);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_CALL_ERRORS_H_
