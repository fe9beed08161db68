#include "python/src/processes.h"

#include <cstddef>
#include <cstdint>
#include <string>

#include "client/open.h"
#include "client/storage.h"
#include "python/src/arguments.h"
#include "python/src/dtypes.h"
#include "python/src/exports.h"
#include "python/src/gil.h"
#include "python/src/py_tensor.h"

namespace tensorbroker::python {
namespace {

py::object send_memory(std::uintptr_t address, std::size_t nbytes) {
  const auto* first = reinterpret_cast<const std::byte*>(address);
  const detail::StorageRef storage = storage_exported_at(first);
  if (!storage || storage->data() == nullptr) return py::none();
  // A draft that was published meanwhile is still where it was written for those who export it.
  const auto offset = static_cast<std::size_t>(first - storage->data());
  if (offset > storage->nbytes() || nbytes > storage->nbytes() - offset) return py::none();
  const std::string handle = Tensor(storage, storage->data(), kUInt8, {}).handle();
  std::uint64_t token = 0;
  {
    const NoGil no_gil;
    token = send(storage);
  }
  return py::make_tuple(handle, token, dtype_object(kUInt8), offset, py::make_tuple(nbytes), py::make_tuple(1));
}

}  // namespace

void define_processes(py::module_& module) {
  module.def("_send_memory", &send_memory, py::arg("address"), py::arg("nbytes"));
}

void teach_torch_processes() {
  static bool taught = false;
  if (taught) return;
  const auto modules = py::reinterpret_borrow<py::dict>(PyImport_GetModuleDict());
  if (!modules.contains("torch.multiprocessing.reductions")) return;
  py::module_::import("tensorbroker._torch_processes").attr("register")();
  taught = true;
}

}  // namespace tensorbroker::python
