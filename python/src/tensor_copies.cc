// Copies of a tensor, conversions, writing all of its elements, comparing them, and moving it into shared memory.

#include <tensorbroker/error.h>

#include <string>

#include "client/storage.h"
#include "python/src/conversion.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/scalars.h"
#include "python/src/signature.h"
#include "python/src/source.h"
#include "python/src/tensor_class.h"

namespace tensorbroker::python {

// factories.cc
Tensor share(const py::object& client, const Tensor& tensor);

namespace {

// Takes the tensor by value: another thread may release the object that it came from.
template <class Copy>
py::object wrap_without_gil(Tensor tensor, Copy&& copy) {
  {
    const NoGil no_gil;
    tensor = copy(std::as_const(tensor));
  }
  return wrap(std::move(tensor));
}

py::object clone(const PyTensor& self) {
  return wrap_without_gil(live(self), [](const Tensor& tensor) { return tensor.clone(); });
}

py::object contiguous(const py::object& self) {
  const Tensor& tensor = live(*as_tensor(self));
  if (tensor.is_contiguous()) return self;
  return wrap_without_gil(tensor, [](const Tensor& strided) { return strided.contiguous(); });
}

py::object to(const py::object& self, const py::args& args, const py::kwargs& kwargs) {
  const Tensor& tensor = live(*as_tensor(self));
  const Conversion wanted = to_conversion(args, kwargs);
  const DType dtype = wanted.dtype.value_or(tensor.dtype());
  if (dtype == tensor.dtype() && !wanted.copy) return self;
  return wrap_without_gil(tensor, [&](const Tensor& source) { return source.to(dtype, true); });
}

py::object detach(const PyTensor& self) { return wrap(Tensor(live(self))); }

py::object cpu(const py::object& self) {
  live(*as_tensor(self));
  return self;
}

// ---- writing

// A tensor, or a number as a 0-d tensor.
Tensor operand(py::handle value, const char* function) {
  if (const auto number = to_number(value)) return to_tensor(*number);
  if (!is_array_like(value)) Signature(function).refuse(value, "other", 1, "Tensor");
  return source_tensor(value);
}

py::object copy(const py::object& self, py::handle src, bool /*non_blocking*/) {
  const Tensor target = live(*as_tensor(self));
  target.data();  // ReadOnlyError before anything is read
  const Tensor source = operand(src, "copy_");
  const NoGil no_gil;
  target.copy_(source);
  return self;
}

py::object fill(const py::object& self, py::handle value) {
  const Tensor target = live(*as_tensor(self));
  target.data();
  if (const auto number = to_number(value)) {
    check_64_bits(*number);
    const NoGil no_gil;
    target.fill_(number->value);
    return self;
  }
  if (as_tensor(value) == nullptr && !is_torch_tensor(value)) {
    Signature("fill_").refuse(value, "value", 1, "Number or 0-d Tensor");
  }
  const Tensor source = source_tensor(value);
  if (source.dim() != 0) {
    throw RuntimeError("fill_ only supports 0-dimension value tensor but got tensor with " +
                       std::to_string(source.dim()) + " dimensions.");
  }
  const NoGil no_gil;
  target.copy_(source.clone());
  return self;
}

py::object zero(const py::object& self) {
  const Tensor target = live(*as_tensor(self));
  const NoGil no_gil;
  target.zero_();
  return self;
}

bool equal(const PyTensor& self, py::handle other) {
  const Tensor mine = live(self);
  if (!is_array_like(other)) Signature("equal").refuse(other, "other", 1, "Tensor");
  const Tensor its = source_tensor(other);
  const NoGil no_gil;
  return mine.equal(its);
}

// ---- shared memory

bool is_shared(const PyTensor& self) {
  const detail::StorageKind kind = live(self).storage()->kind();
  return kind == detail::StorageKind::kLeased || kind == detail::StorageKind::kDraft;
}

py::object share_memory(py::object self) {
  PyTensor& tensor = *as_tensor(self);
  if (is_shared(tensor)) return self;
  const py::object client = py::module_::import("tensorbroker._default").attr("default_client")();
  tensor.tensor = share(client, Tensor(live(tensor)));
  return self;
}

}  // namespace

void define_copies(TensorClass& tensor) {
  tensor.def("clone", &clone)
      .def("contiguous", &contiguous)
      .def("to", &to)
      .def("detach", &detach)
      .def("cpu", &cpu)
      .def("copy_", &copy, py::arg("src"), py::arg("non_blocking") = false)
      .def("fill_", &fill, py::arg("value"))
      .def("zero_", &zero)
      .def("equal", &equal, py::arg("other"))
      .def("is_shared", &is_shared)
      .def("share_memory_", &share_memory);
}

}  // namespace tensorbroker::python
