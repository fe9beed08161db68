#include <string>
#include <utility>

#include "python/src/arguments.h"
#include "python/src/client_class.h"
#include "python/src/errors.h"
#include "python/src/gil.h"
#include "python/src/py_tensor.h"

namespace tensorbroker::python {
namespace {

// As the file system has it: undecodable bytes are surrogates in a str.
std::string to_file_path(py::handle path) {
  PyObject* bytes = nullptr;
  if (PyUnicode_FSConverter(path.ptr(), static_cast<void*>(&bytes)) == 0) throw py::error_already_set();
  return py::cast<std::string>(py::reinterpret_steal<py::bytes>(bytes));
}

py::object load_safetensors(Client& self, py::handle name, py::handle path, bool overwrite, py::handle metadata) {
  const std::string_view text = to_name(name);
  const std::string file = to_file_path(path);
  const PutOptions options{overwrite, to_metadata(metadata)};
  Bundle bundle;
  {
    const NoGil no_gil;
    bundle = self.load_safetensors(text, file, options);
  }
  return wrap(std::move(bundle));
}

void save_safetensors(const Client& self, py::handle name, py::handle path) {
  const std::string_view text = to_name(name);
  const std::string file = to_file_path(path);
  const NoGil no_gil;
  self.save_safetensors(text, file);
}

}  // namespace

void define_files(ClientClass& client) {
  client
      .def("load_safetensors", &load_safetensors, py::arg("name"), py::arg("path"), py::kw_only(),
           py::arg("overwrite") = true, py::arg("metadata") = py::none())
      .def("save_safetensors", &save_safetensors, py::arg("name"), py::arg("path"));
}

}  // namespace tensorbroker::python
