// What users pass as names, sizes, timeouts, capacities and metadata, checked and as C++ values.
//
// Wants the GIL. Wrong types are TypeError, wrong values ValueError, each with what to pass instead.

#ifndef TENSORBROKER_PYTHON_SRC_ARGUMENTS_H_
#define TENSORBROKER_PYTHON_SRC_ARGUMENTS_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/client.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tensorbroker::python {

// The UTF-8 of a str; "" for what is no str or has lone surrogates, and so is none of the words that are looked for.
std::string to_text(pybind11::handle text);

// The UTF-8 of a str, which must live on.
std::string_view to_name(pybind11::handle name);

std::int64_t to_int(pybind11::handle value, const char* what);

// A version, or 0.
std::uint64_t to_version(pybind11::handle newer_than);

// A JSON object as text; empty for None.
std::string to_metadata(pybind11::handle metadata);
// The dict that the text is.
pybind11::object from_metadata(std::string_view text);

// Seconds; nullopt (for ever) for None and infinity.
std::optional<std::chrono::duration<double>> to_timeout(pybind11::handle timeout);

// Seconds to look busily before sleeping.
std::chrono::duration<double> to_spin(pybind11::handle spin);

// Bytes: an int, or text such as "8GiB".
std::uint64_t to_bytes(pybind11::handle value);

// "r", "r+" or "c".
OpenMode to_mode(pybind11::handle mode);

// For an argument that is one of a few words: TypeError where it is no str, ValueError where it is another one.
[[noreturn]] void refuse_word(pybind11::handle given, const std::string& wanted);

// A path as a str; "" for None.
std::string to_path(pybind11::handle path);

// A tuple of ints.
pybind11::tuple to_tuple(std::span<const std::int64_t> values);
// The same as tensorbroker.Size.
pybind11::object to_size(std::span<const std::int64_t> values);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_ARGUMENTS_H_
