// NumPy's C API. One file (module.cc) defines TENSORBROKER_IMPORTS_NUMPY and calls import_array; all share its table.

#ifndef TENSORBROKER_PYTHON_SRC_NUMPY_API_H_
#define TENSORBROKER_PYTHON_SRC_NUMPY_API_H_

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PY_ARRAY_UNIQUE_SYMBOL tensorbroker_numpy_api
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#ifndef TENSORBROKER_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#endif  // TENSORBROKER_PYTHON_SRC_NUMPY_API_H_
