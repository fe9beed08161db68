// The signature of a function as Python writes it, from what pybind11 writes.
//
// Pure text; no state.

#ifndef TENSORBROKER_PYTHON_SRC_TEXT_SIGNATURE_H_
#define TENSORBROKER_PYTHON_SRC_TEXT_SIGNATURE_H_

#include <string>
#include <string_view>

namespace tensorbroker::python {

// "get(self, name, *, timeout=0.0)" from "get(self: Client, name: object, *, timeout: object = 0.0) -> object\n...".
// Parameters that the binding leaves nameless, and *args, get their names from `names`, separated by spaces, and go by
// place alone. Empty where `generated` does not begin with one of pybind11's signatures.
std::string text_signature(std::string_view generated, std::string_view names);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_TEXT_SIGNATURE_H_
