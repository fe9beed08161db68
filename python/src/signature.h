// The arguments of torch's methods: taken as torch takes them, refused in its words.
//
// An int is anything with __index__ but a bool; so are tensors of one integer. Everything here wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_SIGNATURE_H_
#define TENSORBROKER_PYTHON_SRC_SIGNATURE_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/geometry.h>

#include <cstdint>
#include <string>

namespace tensorbroker::python {

// Of one function, which its errors name.
class Signature {
 public:
  explicit constexpr Signature(const char* function) noexcept : function_(function) {}

  // TypeError for another type, ValueError beyond 64 bits.
  std::int64_t integer(pybind11::handle value, const char* name, int position) const;

  // Ints one by one, or as one tuple or list. TypeError for none at all, other types, and ints beyond 64 bits.
  Dims integers(const pybind11::args& args, const char* name) const;
  // One tuple or list of ints; where `or_one`, also one int alone.
  Dims tuple(pybind11::handle value, const char* name, int position, bool or_one = false) const;

  // TypeError "function(): argument 'name' (position 1) must be <wanted>, not <type>".
  [[noreturn]] void refuse(pybind11::handle value, const char* name, int position, const char* wanted) const;

 private:
  std::string argument(const char* name, int position) const;
  Dims unpack(pybind11::handle values, const char* name) const;

  const char* function_;
};

// Whether the object is an int to torch.
bool is_int(pybind11::handle value) noexcept;

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_SIGNATURE_H_
