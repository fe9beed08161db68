#include <tensorbroker/detail/dlpack_managed.h>
#include <tensorbroker/error.h>

#include <memory>
#include <string>
#include <utility>

#include "python/src/dlpack.h"
#include "python/src/dlpack_abi.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/memory.h"

namespace tensorbroker::python {
namespace {

// The deleter may be called from any thread, says DLPack. One that was written with Python in mind takes the GIL, which
// may end the thread where Python ends; once Python is over nobody needs the memory back.
template <class Managed>
void give_back(Managed* managed) {
  if (managed->deleter == nullptr || is_python_over()) return;
  take_or_sleep([managed] { managed->deleter(managed); });
}

template <class Managed>
bool holds(py::handle capsule) {
  return PyCapsule_IsValid(capsule.ptr(), Managed::kName) != 0;
}

template <class Managed>
Tensor take(py::handle capsule, bool writable) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule.ptr(), Managed::kName));
  if (managed == nullptr || PyCapsule_SetName(capsule.ptr(), Managed::kUsedName) != 0) throw py::error_already_set();
  return detail::import_managed(std::shared_ptr<Managed>(managed, &give_back<Managed>), writable);
}

Tensor take_capsule(py::handle capsule, bool writable) {
  if (holds<dlpack::Versioned>(capsule)) return take<dlpack::Versioned>(capsule, writable);
  if (holds<dlpack::Legacy>(capsule)) return take<dlpack::Legacy>(capsule, writable);
  throw TypeError("from_dlpack(): expected a DLPack capsule that nobody took yet, not " +
                  py::cast<std::string>(py::repr(capsule)));
}

// JAX's arrays never change, and its capsules cannot say so.
bool is_immutable(py::handle object) {
  const py::object module = py::getattr(py::type::handle_of(object), "__module__", py::none());
  return py::isinstance<py::str>(module) && py::cast<std::string>(module).starts_with("jax");
}

void check_device(py::handle device) {
  if (device.is_none() || py::cast<std::string>(py::str(device)).starts_with("cpu")) return;
  throw InvalidArgumentError(
      "from_dlpack(): tensors lie in the memory of the CPU: device must be None or \"cpu\", not " +
      py::cast<std::string>(py::repr(device)));
}

bool lies_elsewhere(py::handle object) {
  if (!py::hasattr(object, "__dlpack_device__")) return false;
  const auto device = py::reinterpret_borrow<py::tuple>(object.attr("__dlpack_device__")());
  return py::cast<std::int32_t>(device[0]) != detail::kDlpackCpu;
}

// Asks the producer. `*copied` is set where it was asked for a copy and understood.
py::object ask(py::handle object, py::handle device, py::handle copy, bool* copied) {
  if (!py::hasattr(object, "__dlpack__")) {
    throw TypeError("from_dlpack(): expected an object with __dlpack__ or a DLPack capsule, not " + type_name(object));
  }
  const py::object method = object.attr("__dlpack__");
  py::dict arguments;
  arguments["max_version"] = py::make_tuple(detail::kDlpackMajor, detail::kDlpackMinor);
  if (!copy.is_none()) arguments["copy"] = copy;
  if (!device.is_none() && lies_elsewhere(object)) arguments["dl_device"] = py::make_tuple(detail::kDlpackCpu, 0);
  try {
    py::object capsule = method(**arguments);
    *copied = !copy.is_none() && py::cast<bool>(copy);
    return capsule;
  } catch (py::error_already_set& error) {
    // Producers from before DLPack 1.0 do not know the arguments.
    if (!error.matches(PyExc_TypeError)) throw;
  }
  return method();
}

}  // namespace

Tensor import_dlpack(py::handle object, py::handle device, py::handle copy) {
  if (!copy.is_none() && !PyBool_Check(copy.ptr())) {
    throw TypeError("from_dlpack(): argument 'copy' must be bool or None, not " + type_name(copy));
  }
  check_device(device);
  const bool must_copy = !copy.is_none() && py::cast<bool>(copy);
  bool copied = false;
  Tensor tensor;
  if (const PyTensor* own = as_tensor(object)) {
    tensor = live(*own);
  } else if (PyCapsule_CheckExact(object.ptr())) {
    tensor = take_capsule(object, true);
  } else {
    const py::object capsule = ask(object, device, copy, &copied);
    tensor = take_capsule(capsule, copied || !is_immutable(object));
  }
  if (!must_copy || copied) return tensor;
  const NoGil no_gil;
  return tensor.clone();
}

}  // namespace tensorbroker::python
