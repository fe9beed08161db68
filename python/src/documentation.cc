#include "python/src/documentation.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "python/src/text_signature.h"

namespace tensorbroker::python {
namespace {

namespace py = pybind11;

struct Docstring {
  std::string_view name;        // dotted, as in "Client.get"
  std::string_view parameters;  // their names
  const char* text;
};

constexpr Docstring kDocstrings[] = {
#include "docstrings.inc"
};

const Docstring* find_docstring(std::string_view name) {
  const auto* found =
      std::lower_bound(std::begin(kDocstrings), std::end(kDocstrings), name,
                       [](const Docstring& docstring, std::string_view wanted) { return docstring.name < wanted; });
  return found != std::end(kDocstrings) && found->name == name ? found : nullptr;
}

// The function that pybind11 made, behind a method or not; null for anything else.
PyCFunctionObject* native_function(py::handle object) {
  PyObject* function = object.ptr();
  if (PyInstanceMethod_Check(function)) function = PyInstanceMethod_GET_FUNCTION(function);
  return PyCFunction_Check(function) ? reinterpret_cast<PyCFunctionObject*>(function) : nullptr;
}

// Python reads the signature that inspect and help() give from the text's head. pybind11 frees the text in the end.
void document_function(PyCFunctionObject* function, const Docstring* docstring) {
  const char* generated = function->m_ml->ml_doc;
  if (generated == nullptr) return;
  // Operators, which the stub leaves out, take what Python calls "value".
  const std::string signature = text_signature(generated, docstring == nullptr ? "value" : docstring->parameters);
  if (signature.empty()) return;  // none of pybind11's
  const std::string text = signature + "\n--\n\n" + (docstring == nullptr ? "" : docstring->text);
  char* const copy = ::strdup(text.c_str());
  if (copy == nullptr) throw py::error_already_set();
  std::free(const_cast<char*>(generated));
  function->m_ml->ml_doc = copy;
}

void document_member(py::handle member, const std::string& name) {
  const Docstring* docstring = find_docstring(name);
  if (PyCFunctionObject* function = native_function(member)) {
    document_function(function, docstring);
  } else if (docstring != nullptr && *docstring->text != '\0' &&
             (PyType_Check(member.ptr()) || Py_TYPE(member.ptr()) == &PyProperty_Type)) {
    py::setattr(member, "__doc__", py::str(docstring->text));
  }
}

void document_class(py::handle type, const std::string& name) {
  document_member(type, name);
  const py::dict members(type.attr("__dict__"));
  // For extensions that exchange C++ objects: none does so with this one, and everybody would see it in dir().
  if (members.contains("_pybind11_conduit_v1_")) py::delattr(type, "_pybind11_conduit_v1_");
  for (const auto& [key, member] : members) document_member(member, name + "." + py::cast<std::string>(key));
}

}  // namespace

void document(py::module_& module) {
  const py::dict members(module.attr("__dict__").attr("copy")());
  for (const auto& [key, member] : members) {
    const auto name = py::cast<std::string>(key);
    if (PyType_Check(member.ptr())) {
      document_class(member, name);
    } else {
      document_member(member, name);
    }
  }
}

}  // namespace tensorbroker::python
