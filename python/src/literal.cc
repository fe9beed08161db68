#include "python/src/literal.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "client/promote.h"
#include "client/scalar.h"
#include "client/tensor_memory.h"
#include "proto/geometry.h"
#include "python/src/errors.h"
#include "python/src/memory.h"
#include "python/src/scalars.h"
#include "python/src/source.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

bool is_sequence(py::handle object) {
  PyObject* p = object.ptr();
  if (PyList_Check(p) || PyTuple_Check(p)) return true;
  return PySequence_Check(p) != 0 && !PyUnicode_Check(p) && !PyBytes_Check(p) && !PyByteArray_Check(p);
}

// Collects the numbers depth first; the first path down fixes the sizes, every other one must agree.
class Collector {
 public:
  void collect(py::handle item, std::size_t depth) {
    if (const auto number = to_number(item)) {
      check_depth(depth, "a number");
      add(*number);
    } else if (is_array_like(item)) {
      collect_array(source_tensor(item), depth);
    } else if (is_sequence(item)) {
      collect_sequence(item, depth);
    } else {
      throw TypeError("cannot make a tensor of " + type_name(item) +
                      "; give numbers, nested lists of numbers, arrays or tensors");
    }
  }

  Tensor finish(std::optional<DType> wanted) const {
    const DType dtype = wanted.value_or(dtype_.value_or(kFloat32));
    Tensor result = new_tensor(contiguous_geometry(sizes_), dtype);
    auto* element = static_cast<std::byte*>(result.data());
    for (const Number& number : numbers_) {
      check_fits(number, dtype);
      store_literal(element, dtype, number.value);
      element += itemsize(dtype);
    }
    return result;
  }

 private:
  void add(const Number& number) {
    numbers_.push_back(number);
    dtype_ = dtype_ ? promote_types(*dtype_, number.dtype) : number.dtype;
  }

  // A number at `depth` says how many dimensions there are.
  void check_depth(std::size_t depth, const char* what) {
    if (!sizes_known_) {
      sizes_known_ = true;
    } else if (depth != sizes_.size()) {
      throw TypeError("expected a sequence at dim " + std::to_string(depth) + ", not " + what +
                      ": all nested sequences must be equally deep");
    }
  }

  void check_size(std::size_t size, std::size_t depth) {
    if (!sizes_known_ && depth == sizes_.size()) {
      sizes_.push_back(static_cast<std::int64_t>(size));
      if (size == 0) sizes_known_ = true;
    } else if (depth >= sizes_.size()) {
      throw TypeError("expected a number at dim " + std::to_string(depth) +
                      ", not a sequence: all nested sequences must be equally deep");
    } else if (sizes_[depth] != static_cast<std::int64_t>(size)) {
      throw InvalidArgumentError("expected sequence of length " + std::to_string(sizes_[depth]) + " at dim " +
                                 std::to_string(depth) + " (got " + std::to_string(size) + ")");
    }
  }

  void collect_sequence(py::handle item, std::size_t depth) {
    const auto items = py::reinterpret_steal<py::object>(PySequence_Fast(item.ptr(), "not a sequence"));
    if (!items) throw py::error_already_set();
    const auto size = static_cast<std::size_t>(PySequence_Fast_GET_SIZE(items.ptr()));
    check_size(size, depth);
    for (std::size_t i = 0; i < size; ++i) {
      // Read anew each time: an item's own code may have changed a list.
      if (i >= static_cast<std::size_t>(PySequence_Fast_GET_SIZE(items.ptr()))) {
        throw InvalidArgumentError("the list changed while it was read");
      }
      const auto next =
          py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(items.ptr(), static_cast<Py_ssize_t>(i)));
      collect(next, depth + 1);
    }
  }

  void collect_array(const Tensor& array, std::size_t depth) {
    for (std::int64_t d = 0; d < array.dim(); ++d) check_size(static_cast<std::size_t>(array.size(d)), depth + d);
    dtype_ = dtype_ ? promote_types(*dtype_, array.dtype()) : array.dtype();
    if (array.numel() == 0) return;
    check_depth(depth + static_cast<std::size_t>(array.dim()), "an array");
    make_room(static_cast<std::size_t>(array.numel()));
    add_elements(array, 0, array.storage_offset());
  }

  // At once, so that an array that is large only by its strides is an error before the machine's memory is used up.
  void make_room(std::size_t more) {
    if (more <= numbers_.capacity() - numbers_.size()) return;
    try {
      if (more > numbers_.max_size() - numbers_.size()) throw std::bad_alloc();
      numbers_.reserve(std::max(numbers_.size() + more, 2 * numbers_.capacity()));
    } catch (const std::bad_alloc&) {
      throw OutOfMemoryError("cannot hold the numbers of a list with an array of " + std::to_string(more) +
                             " elements; put the array itself");
    }
  }

  void add_elements(const Tensor& array, std::size_t dim, std::int64_t offset) {
    const Geometry& geometry = array.geometry();
    if (dim == geometry.sizes.size()) {
      const auto* first = static_cast<const std::byte*>(array.const_data());
      const auto bytes = (offset - geometry.storage_offset) * static_cast<std::int64_t>(array.itemsize());
      numbers_.push_back(Number{load(first + bytes, array.dtype()), array.dtype()});
      return;
    }
    for (std::int64_t i = 0; i < geometry.sizes[dim]; ++i)
      add_elements(array, dim + 1, offset + i * geometry.strides[dim]);
  }

  Dims sizes_;
  bool sizes_known_ = false;
  std::vector<Number> numbers_;
  std::optional<DType> dtype_;
};

}  // namespace

bool is_literal(py::handle data) { return to_number(data).has_value() || is_sequence(data); }

Tensor from_literal(py::handle data, std::optional<DType> dtype) {
  Collector collector;
  collector.collect(data, 0);
  return collector.finish(dtype);
}

}  // namespace tensorbroker::python
