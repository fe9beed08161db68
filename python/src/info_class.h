// tensorbroker.Info, a line of a listing, and the dict of stats().
//
// Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_INFO_CLASS_H_
#define TENSORBROKER_PYTHON_SRC_INFO_CLASS_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/client.h>

namespace tensorbroker::python {

void define_info(pybind11::module_& module);

// A new Info, which asks `client` for its holders.
pybind11::object wrap(Info info, const Client& client);

pybind11::dict to_dict(const Stats& stats);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_INFO_CLASS_H_
