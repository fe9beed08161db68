// What the broker knows of a tensor; drafts; pickle and copies.

#include <tensorbroker/error.h>

#include <string>

#include "client/open.h"
#include "client/storage.h"
#include "proto/geometry.h"
#include "python/src/arguments.h"
#include "python/src/dtypes.h"
#include "python/src/gil.h"
#include "python/src/memory.h"
#include "python/src/signature.h"
#include "python/src/tensor_class.h"

namespace tensorbroker::python {
namespace {

void check_draft(const PyTensor& self, const char* what) {
  if (self.is_draft && live(self).is_draft()) return;
  throw RuntimeError(std::string(what) + "() is for what create() returned, and once: this tensor " +
                     (live(self).is_draft() ? "is a view of a draft" : "is no draft (any more)"));
}

void publish(PyTensor& self) {
  check_draft(self, "publish");
  Tensor draft = self.tensor;
  const NoGil no_gil;
  draft.publish();
}

void discard(PyTensor& self) {
  check_draft(self, "discard");
  self.ending = Ending::kDiscarded;
  self.tensor = {};
}

py::object enter(const py::object& self) {
  check_draft(*as_tensor(self), "with create");
  return self;
}

// Publishes at the end of the block; an exception, the block's or the publication's, discards. What the block itself
// published, discarded or released is done with.
void exit(PyTensor& self, py::handle type, py::handle, py::handle) {
  if (!self.tensor.defined() || !self.tensor.is_draft()) return;
  if (!type.is_none()) return discard(self);
  try {
    publish(self);
  } catch (...) {
    if (self.tensor.defined() && self.tensor.is_draft()) discard(self);
    throw;
  }
}

// Lets go of the storage outside the GIL: the last reference may unmap pages.
void release(PyTensor& self) {
  Tensor last = std::move(self.tensor);
  self.tensor = {};
  const NoGil no_gil;
  last = {};
}

// The handle names the storage; a view is the geometry over it besides.
py::object reduce(const PyTensor& self) {
  const Tensor tensor = live(self);
  const std::string handle = tensor.handle();
  std::uint64_t token = 0;
  {
    const NoGil no_gil;
    token = send(tensor.storage());
  }
  return py::make_tuple(py::module_::import("tensorbroker._default").attr("receive_view"),
                        py::make_tuple(handle, token, dtype_object(tensor.dtype()), detail::offset_in_storage(tensor),
                                       to_tuple(tensor.sizes()), to_tuple(tensor.strides())));
}

}  // namespace

py::object view_of(py::handle object, py::handle dtype, std::uint64_t offset, py::handle sizes, py::handle strides) {
  const PyTensor* tensor = as_tensor(object);
  const detail::StorageRef storage = tensor != nullptr ? live(*tensor).storage() : live(*as_bundle(object)).storage();
  const DType type = to_dtype(dtype);
  const Signature signature("unpickle");
  Geometry geometry{signature.tuple(sizes, "sizes", 4), signature.tuple(strides, "strides", 5), 0};
  if (geometry.sizes.size() != geometry.strides.size() || offset > storage->nbytes()) {
    throw InvalidArgumentError("unpickle: the view does not fit the tensor that its handle names");
  }
  check_geometry(geometry, itemsize(type), storage->nbytes() - offset);
  std::byte* first = storage->data() == nullptr ? nullptr : storage->data() + offset;
  return wrap(Tensor(storage, first, type, std::move(geometry)));
}

void define_record(TensorClass& tensor) {
  tensor.def_property_readonly("name", [](const PyTensor& self) { return live(self).name(); })
      .def_property_readonly("version", [](const PyTensor& self) { return live(self).version(); })
      .def_property_readonly("metadata", [](const PyTensor& self) { return from_metadata(live(self).metadata()); })
      .def_property_readonly("mutable", [](const PyTensor& self) { return live(self).is_mutable(); })
      .def_property_readonly("sealed", [](const PyTensor& self) { return live(self).is_sealed(); })
      .def_property_readonly("corrupt", [](const PyTensor& self) { return live(self).is_corrupt(); })
      .def_property_readonly("handle", [](const PyTensor& self) { return live(self).handle(); })
      .def("publish", &publish)
      .def("discard", &discard)
      .def("release", &release)
      .def("__enter__", &enter)
      .def("__exit__", &exit)
      .def("__reduce__", &reduce)
      .def("__copy__", [](const PyTensor& self) { return wrap(Tensor(live(self))); })
      .def("__deepcopy__", [](const py::object& self, py::handle) { return self.attr("clone")(); }, py::arg("memo"));
}

}  // namespace tensorbroker::python
