#include "python/src/conversion.h"

#include <tensorbroker/error.h>

#include <string>
#include <string_view>

#include "python/src/arguments.h"
#include "python/src/dtypes.h"
#include "python/src/errors.h"
#include "python/src/py_tensor.h"
#include "python/src/source.h"

namespace tensorbroker::python {
namespace {

// "cpu", "cuda:1", of a device object or a text that is none of a dtype; empty for what is no device.
std::string device_name(py::handle object) {
  const std::string_view type = Py_TYPE(object.ptr())->tp_name;
  if (type == "torch.device" || type == "device") return py::cast<std::string>(py::str(object));
  if (!PyUnicode_Check(object.ptr())) return {};
  const std::string text = to_text(object);
  return dtype_from_name(text) || text.starts_with("torch.") ? std::string() : text;
}

bool is_device(py::handle object) {
  const std::string name = device_name(object);
  if (name.empty()) return false;
  if (name == "cpu" || name == "cpu:0") return true;
  throw RuntimeError("tensors lie in the memory of the CPU: cannot go to '" + name + "'; move what torch() gives");
}

void check_memory_format(py::handle format) {
  const std::string name = py::cast<std::string>(py::str(format));
  if (format.is_none() || name == "torch.preserve_format") return;
  throw RuntimeError("to() keeps the order of dimensions (torch.preserve_format), and knows no " + name);
}

bool to_flag(py::handle value) { return py::cast<bool>(py::bool_(py::reinterpret_borrow<py::object>(value))); }

// Takes the arguments by place, then by name.
class Reader {
 public:
  explicit Reader(const py::args& args) : args_(args) {}

  Conversion read(const py::kwargs& kwargs) {
    take_target();
    if (left() > 2) throw TypeError("to() takes a dtype, tensor or device, then non_blocking and copy, and no more");
    if (left() == 2) wanted_.copy = to_flag(args_[next_ + 1]);
    for (const auto& [key, value] : kwargs) take_named(to_text(key), value);
    return wanted_;
  }

 private:
  std::size_t left() const { return args_.size() - next_; }

  void take_target() {
    if (left() == 0) return;
    const py::object first = args_[next_++];
    if (as_tensor(first) != nullptr || is_torch_tensor(first)) {
      wanted_.dtype = source_tensor(first).dtype();
    } else if (first.is_none() || is_device(first)) {
      if (left() > 0 && !PyBool_Check(py::object(args_[next_]).ptr())) take_dtype(args_[next_++]);
    } else {
      wanted_.dtype = to_dtype(first);
    }
  }

  void take_dtype(py::handle dtype) {
    if (!dtype.is_none()) wanted_.dtype = to_dtype(dtype);
  }

  void take_named(const std::string& name, py::handle value) {
    if (name == "dtype") {
      take_dtype(value);
    } else if (name == "copy") {
      wanted_.copy = to_flag(value);
    } else if (name == "device") {
      if (!value.is_none() && !is_device(value)) throw TypeError("to(): no device: " + type_name(value));
    } else if (name == "memory_format") {
      check_memory_format(value);
    } else if (name != "non_blocking") {
      throw TypeError("to() got an unexpected keyword argument '" + name + "'");
    }
  }

  const py::args& args_;
  std::size_t next_ = 0;
  Conversion wanted_;
};

}  // namespace

Conversion to_conversion(const py::args& args, const py::kwargs& kwargs) { return Reader(args).read(kwargs); }

}  // namespace tensorbroker::python
