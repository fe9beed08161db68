#include <tensorbroker/detail/dlpack_managed.h>
#include <tensorbroker/error.h>

#include <optional>
#include <string>
#include <utility>

#include "client/storage.h"
#include "python/src/arguments.h"
#include "python/src/dlpack.h"
#include "python/src/dlpack_abi.h"
#include "python/src/errors.h"
#include "python/src/exports.h"
#include "python/src/gil.h"
#include "python/src/memory.h"
#include "python/src/processes.h"

namespace tensorbroker::python {
namespace {

// Whoever takes a capsule's content renames the capsule; one that nobody took is freed with it.
template <class Managed>
void release_capsule(PyObject* capsule) {
  if (PyCapsule_IsValid(capsule, Managed::kName) == 0) return;
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, Managed::kName));
  managed->deleter(managed);
}

template <class Managed>
py::object new_capsule(const Tensor& tensor, std::uint64_t flags) {
  Managed* managed = detail::export_managed<Managed>(tensor, flags, NotedExport(tensor.storage()));
  PyObject* capsule = PyCapsule_New(managed, Managed::kName, &release_capsule<Managed>);
  if (capsule == nullptr) {
    managed->deleter(managed);
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(capsule);
}

[[noreturn]] void refuse(const char* argument, const char* expected, py::handle given) {
  throw TypeError(std::string(argument) + " must be " + expected + " or None, not " +
                  py::cast<std::string>(py::repr(given)));
}

// The first of a pair of ints, as DLPack has versions and devices.
std::int64_t first_of_pair(const char* argument, const char* expected, py::handle pair) {
  if (!PyTuple_Check(pair.ptr()) || PyTuple_GET_SIZE(pair.ptr()) != 2) refuse(argument, expected, pair);
  const auto items = py::reinterpret_borrow<py::tuple>(pair);
  for (const py::handle item : items) {
    if (PyIndex_Check(item.ptr()) == 0) refuse(argument, expected, pair);
  }
  return to_int(items[0], argument);
}

bool wants_versioned(py::handle max_version) {
  if (max_version.is_none()) return false;
  return first_of_pair("max_version", "a tuple (major, minor)", max_version) >= detail::kDlpackMajor;
}

void check_device(py::handle device) {
  if (device.is_none()) return;
  const std::int64_t type = first_of_pair("dl_device", "a tuple (device type, device id)", device);
  if (type == detail::kDlpackCpu) return;
  throw py::buffer_error("tensors lie in the memory of the CPU, not on a device of DLPack's type " +
                         std::to_string(type) + "; move what you get from there to the device");
}

// There is nothing to synchronize with on the CPU; -1 asks for nothing.
void check_stream(py::handle stream) {
  if (stream.is_none()) return;
  if (PyIndex_Check(stream.ptr()) != 0 && to_int(stream, "stream") == -1) return;
  throw py::buffer_error("tensors lie in the memory of the CPU, which has no streams: stream must be None, not " +
                         py::cast<std::string>(py::repr(stream)));
}

std::optional<bool> to_copy(py::handle copy) {
  if (copy.is_none()) return std::nullopt;
  const int truth = PyBool_Check(copy.ptr()) != 0 ? PyObject_IsTrue(copy.ptr()) : -1;
  if (truth < 0) refuse("copy", "True, False", copy);
  return truth != 0;
}

}  // namespace

Tensor exportable(const Tensor& tensor) {
  if (tensor.is_writable()) return tensor;
  const NoGil no_gil;
  return tensor.exportable();
}

py::object make_capsule(const Tensor& tensor, bool versioned, std::uint64_t flags) {
  teach_torch_processes();
  return versioned ? new_capsule<dlpack::Versioned>(tensor, flags) : new_capsule<dlpack::Legacy>(tensor, flags);
}

py::object export_dlpack(const Tensor& tensor, py::handle stream, py::handle max_version, py::handle dl_device,
                         py::handle copy) {
  check_stream(stream);
  check_device(dl_device);
  const bool versioned = wants_versioned(max_version);
  const std::optional<bool> must_copy = to_copy(copy);
  if (must_copy == true) return make_capsule(tensor.clone(), versioned, detail::kDlpackCopied);
  try {
    const Tensor exported = exportable(tensor);
    if (must_copy == false && exported.storage()->is_copied()) {
      throw py::buffer_error(
          "a sealed tensor below 64 KiB is given out as a copy, which copy=False forbids: call .numpy() for a "
          "read-only array of its own memory");
    }
    return make_capsule(exported, versioned, tensor.is_writable() ? 0 : detail::kDlpackReadOnly);
  } catch (const ReadOnlyError& error) {
    throw py::buffer_error(error.what());
  }
}

py::tuple dlpack_device() { return py::make_tuple(detail::kDlpackCpu, 0); }

}  // namespace tensorbroker::python
