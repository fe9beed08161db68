// The queue through which an event loop is told of its waits: what python/tensorbroker/_async.py stands on.

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "client/decode.h"
#include "client/wait.h"
#include "client/wait_service.h"
#include "python/src/arguments.h"
#include "python/src/client_class.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/py_tensor.h"

namespace tensorbroker::python {
namespace {

std::uint64_t start(const std::shared_ptr<WaitQueue>& self, const Client& client, py::handle name,
                    py::handle newer_than, py::handle timeout) {
  return start_wait(self, client, to_name(name), to_version(newer_than), to_timeout(timeout));
}

// What is being handled as an exception, as Python's.
py::object to_exception() {
  try {
    throw;
  } catch (const py::error_already_set& error) {
    return error.value();
  } catch (const Error& error) {
    set_python_error(error);
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return py::error_already_set().value();
}

// The number of a wait, and what it came to: an object, an exception, or None where the time has passed.
py::tuple to_tuple(WaitResult result) {
  const std::uint64_t id = result.id;
  try {
    if (result.error) std::rethrow_exception(result.error);
    if (!result.storage) return py::make_tuple(id, py::none());
    return py::make_tuple(id, wrap(decode_object(std::exchange(result.storage, {}))));
  } catch (const std::exception&) {
    return py::make_tuple(id, to_exception());
  }
}

py::list take(WaitQueue& self) {
  py::list results;
  for (WaitResult& result : self.take()) results.append(to_tuple(std::move(result)));
  return results;
}

// What a wait with these arguments finds without waiting; else None.
py::object find_newer(const Client& self, py::handle name, py::handle newer_than, py::handle timeout) {
  const std::uint64_t version = to_version(newer_than);
  static_cast<void>(to_timeout(timeout));  // is wrong whatever is found
  detail::StorageRef found;
  look_at_once(*self.impl(), to_name(name), &found);
  if (!found || version_of(found->generation()) <= version) return py::none();
  return wrap(decode_object(std::move(found)));
}

}  // namespace

void define_wait_queue(py::module_& module, ClientClass& client) {
  py::class_<WaitQueue, std::shared_ptr<WaitQueue>>(module, "_WaitQueue")
      .def(py::init<>())
      .def("fileno", &WaitQueue::descriptor)
      .def("start", &start, py::arg("client"), py::arg("name"), py::arg("newer_than"), py::arg("timeout"))
      .def("cancel", [](WaitQueue& self, std::uint64_t id) { cancel_wait(self, id); })
      .def("take", &take);
  client.def("_find_newer", &find_newer, py::arg("name"), py::arg("newer_than"), py::arg("timeout"));
}

}  // namespace tensorbroker::python
