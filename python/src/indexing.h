// tensor[...] and tensor[...] = value, as torch has them.
//
// Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_INDEXING_H_
#define TENSORBROKER_PYTHON_SRC_INDEXING_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

namespace tensorbroker::python {

// What `key` denotes. Ints, slices, ..., None and tuples of them give a view; where there is a tensor, array, list or
// bool among them, a copy in memory of this process. IndexError, TypeError and ValueError as torch's. Gives the GIL up
// while it copies.
Tensor index(Tensor tensor, pybind11::handle key);

// Writes a number, or the elements of a tensor, array or list, broadcast and converted, to what `key` denotes.
// ReadOnlyError before anything is read, and nothing is written where anything is wrong. Gives the GIL up while it
// copies.
void assign(const Tensor& tensor, pybind11::handle key, pybind11::handle value);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_INDEXING_H_
