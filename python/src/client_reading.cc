#include <tensorbroker/error.h>

#include <optional>
#include <utility>
#include <vector>

#include "client/client_impl.h"
#include "client/decode.h"
#include "client/open.h"
#include "python/src/arguments.h"
#include "python/src/client_class.h"
#include "python/src/gil.h"
#include "python/src/info_class.h"
#include "python/src/py_tensor.h"

namespace tensorbroker::python {
namespace {

// The timeout of most calls is left out, and 0.
bool is_zero(py::handle timeout) { return PyFloat_CheckExact(timeout.ptr()) && PyFloat_AS_DOUBLE(timeout.ptr()) == 0; }

py::object get(const Client& self, py::handle name, py::handle timeout) {
  const std::string_view text = to_name(name);
  const auto seconds = is_zero(timeout) ? std::chrono::duration<double>(0) : to_timeout(timeout);
  // Giving the GIL up costs as much as this.
  if (auto leased = self.impl()->try_lease(text)) return wrap(decode_object(std::move(leased)));
  std::optional<Object> found;
  {
    const NoGil no_gil;
    found = self.find_object(text);
    if (!found && (!seconds || seconds->count() > 0)) found = self.wait_object(text, 0, seconds, interrupt_check());
    if (!found) self.impl()->throw_not_found(text);
  }
  return wrap(*std::move(found));
}

py::object wait(const Client& self, py::handle name, py::handle newer_than, py::handle timeout, py::handle spin) {
  const std::string_view text = to_name(name);
  const std::uint64_t version = to_version(newer_than);
  const auto seconds = to_timeout(timeout);
  const WaitOptions options{.spin = to_spin(spin)};
  std::optional<Object> found;
  {
    const NoGil no_gil;
    found = self.wait_object(text, version, seconds, interrupt_check(), options);
    if (!found) {
      throw TimeoutError("no version of '" + std::string(text) + "' newer than " + std::to_string(version) +
                         " came in time");
    }
  }
  return wrap(*std::move(found));
}

py::object open(const Client& self, py::handle name_or_handle, py::handle mode) {
  const std::string_view text = to_name(name_or_handle);
  const OpenMode open_mode = to_mode(mode);
  std::optional<Object> opened;
  {
    const NoGil no_gil;
    opened = self.open_object(text, open_mode);
  }
  return wrap(*std::move(opened));
}

py::object receive_sent(Client& self, py::handle handle, std::uint64_t token) {
  const std::string_view text = to_name(handle);
  std::optional<Object> received;
  {
    const NoGil no_gil;
    received = receive(self, text, token);
  }
  return wrap(*std::move(received));
}

bool exists(const Client& self, py::handle name) {
  const std::string_view text = to_name(name);
  const NoGil no_gil;
  return self.exists(text);
}

std::vector<Info> list_infos(const Client& self, std::string_view prefix) {
  const NoGil no_gil;
  return self.list(prefix);
}

py::object list(const Client& self, py::handle prefix) {
  std::vector<Info> infos = list_infos(self, to_name(prefix));
  py::list listing = py::module_::import("tensorbroker._listing").attr("Listing")();
  for (Info& info : infos) listing.append(wrap(std::move(info), self));
  return listing;
}

py::object iterate(const Client& self) {
  py::list names;
  for (const Info& info : list_infos(self, {})) names.append(info.name);
  return py::iter(names);
}

}  // namespace

void define_reading(ClientClass& client) {
  client.def("get", &get, py::arg("name"), py::kw_only(), py::arg("timeout") = 0.0)
      .def("wait", &wait, py::arg("name"), py::arg("newer_than") = 0, py::arg("timeout") = py::none(), py::kw_only(),
           py::arg("spin") = 0.0)
      .def("open", &open, py::arg("name_or_handle"), py::arg("mode") = "r")
      .def("_receive", &receive_sent, py::arg("handle"), py::arg("token"))
      .def("exists", &exists, py::arg("name"))
      .def("list", &list, py::arg("prefix") = "")
      .def("__contains__", &exists)
      .def("__len__", [](const Client& self) { return list_infos(self, {}).size(); })
      .def("__iter__", &iterate);
}

}  // namespace tensorbroker::python
