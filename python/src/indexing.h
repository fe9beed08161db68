// tensor[...] and tensor[...] = value: basic indexing as torch has it.
//
// Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_INDEXING_H_
#define TENSORBROKER_PYTHON_SRC_INDEXING_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

namespace tensorbroker::python {

// The view that `key` denotes: ints, slices, ..., None, and tuples of them. IndexError as torch's; TypeError, naming
// the other ways, for advanced indexing (lists, arrays, masks).
Tensor index(const Tensor& tensor, pybind11::handle key);

// Writes a number to every element of `target`, or the elements of a tensor, array or list, expanded and converted as
// torch does. ReadOnlyError before anything is read. Gives the GIL up while copying.
void assign(const Tensor& target, pybind11::handle value);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_INDEXING_H_
