// tensorbroker.dtype: one Python object for each dtype, and what other libraries' dtypes mean.
//
// Everything here wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_DTYPES_H_
#define TENSORBROKER_PYTHON_SRC_DTYPES_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/dtype.h>

#include <optional>

namespace tensorbroker::python {

// Creates the class and its objects in `module`. Call once.
void define_dtypes(pybind11::module_& module);

// The one object of this dtype.
pybind11::object dtype_object(DType dtype);

// What a tensorbroker, NumPy or torch dtype or its name means. TypeError, with the names, for anything else.
DType to_dtype(pybind11::handle object);
// The same, where None stands for `none`.
DType to_dtype(pybind11::handle object, DType none);
std::optional<DType> to_optional_dtype(pybind11::handle object);

// NumPy's descriptor (PyArray_Descr) for the dtype: a borrowed reference, good for ever. The types that NumPy lacks
// come from ml_dtypes, imported at their first use.
PyObject* numpy_descriptor(DType dtype);

// The dtype of a NumPy descriptor in native byte order; nullopt where there is none.
std::optional<DType> dtype_from_numpy(PyObject* descriptor);

// Whether NumPy itself has the dtype.
bool is_numpy_dtype(DType dtype) noexcept;

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_DTYPES_H_
