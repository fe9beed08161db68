// Numbers and nested sequences of them as a tensor, as torch.tensor() takes them.
//
// Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_LITERAL_H_
#define TENSORBROKER_PYTHON_SRC_LITERAL_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/tensor.h>

#include <optional>

namespace tensorbroker::python {

// A contiguous tensor in memory of its own with the numbers of `data`. Without a dtype floats give float32, ints int64,
// bools bool and complex numbers complex64; NumPy scalars, arrays and tensors within keep theirs, promoted.
// ValueError for sequences of unequal lengths, TypeError for what is neither number nor sequence.
Tensor from_literal(pybind11::handle data, std::optional<DType> dtype);

// Whether `data` is a number or a sequence that from_literal reads item by item.
bool is_literal(pybind11::handle data);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_LITERAL_H_
