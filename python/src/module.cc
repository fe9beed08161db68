// The extension tensorbroker._core: everything in it that is public is a name of the package tensorbroker.

#include <pybind11/pybind11.h>
#include <tensorbroker/sigbus.h>

#define TENSORBROKER_IMPORTS_NUMPY
#include "python/src/array.h"
#include "python/src/bundle_class.h"
#include "python/src/call_errors.h"
#include "python/src/client_class.h"
#include "python/src/dlpack.h"
#include "python/src/documentation.h"
#include "python/src/dtypes.h"
#include "python/src/errors.h"
#include "python/src/info_class.h"
#include "python/src/numpy_api.h"
#include "python/src/places.h"
#include "python/src/processes.h"
#include "python/src/py_tensor.h"
#include "python/src/sealed_classes.h"
#include "python/src/source.h"
#include "python/src/tensor_class.h"

namespace tensorbroker::python {

// unpickling: tensor_record.cc
py::object view_of(py::handle object, py::handle dtype, std::uint64_t offset, py::handle sizes, py::handle strides);

namespace {

void import_numpy() {
  if (PyArray_ImportNumPyAPI() < 0) throw py::error_already_set();
}

void define_module(py::module_& module) {
  import_numpy();
  define_errors(module);
  define_dtypes(module);
  define_tensor(module);
  define_bundle(module);
  define_info(module);
  define_client(module);
  define_places(module);
  define_processes(module);
  module.def("from_numpy", [](py::handle array) { return wrap(share_array(array)); }, py::arg("ndarray"));
  module.def(
      "from_dlpack",
      [](py::handle object, py::handle device, py::handle copy) { return wrap(import_dlpack(object, device, copy)); },
      py::arg("ext_tensor"), py::kw_only(), py::arg("device") = py::none(), py::arg("copy") = py::none());
  module.def("install_sigbus_handler", &install_sigbus_handler);
  module.def("_view_of", &view_of);
  module.def("_is_array_like", &is_array_like);
  module.attr("__version__") = TENSORBROKER_VERSION;
  seal_classes(module);
  document(module);
  reword_call_errors(module);
}

}  // namespace
}  // namespace tensorbroker::python

PYBIND11_MODULE(_core_of_main_interpreter, module) { tensorbroker::python::define_module(module); }

// Ahead of pybind11's own: what that does first waits for ever in an interpreter that is not the main one.
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {  // NOLINT(bugprone-reserved-identifier): Python wants this one
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return PyInit__core_of_main_interpreter();
  PyErr_SetString(PyExc_ImportError,
                  "tensorbroker works in the main interpreter alone, not in a subinterpreter: import it there and use "
                  "threads, or use processes (multiprocessing, concurrent.futures.ProcessPoolExecutor), which share "
                  "tensors by handle");
  return nullptr;
}
