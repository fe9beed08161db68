// arange, linspace, eye.

#include <tensorbroker/error.h>

#include <algorithm>
#include <array>
#include <string>

#include "client/sequences.h"
#include "proto/geometry.h"
#include "python/src/dtypes.h"
#include "python/src/factories.h"
#include "python/src/signature.h"

namespace tensorbroker::python {
namespace {

bool is_integral(const Scalar& value) {
  return !std::holds_alternative<double>(value) && !std::holds_alternative<std::complex<double>>(value);
}

bool is_complex(const Scalar& value) { return std::holds_alternative<std::complex<double>>(value); }

// The number without an imaginary part of 0; RuntimeError, as torch's, for any other.
Scalar real(const Scalar& value) {
  const auto* number = std::get_if<std::complex<double>>(&value);
  if (number == nullptr) return value;
  if (number->imag() != 0) throw RuntimeError("value cannot be converted to type double without overflow");
  return number->real();
}

// arange(end), arange(start, end) and arange(start, end, step), each by place or by name.
Range to_range(const py::args& args, py::object start, py::object end, py::object step) {
  static constexpr std::array kNames{"start", "end", "step"};
  const std::array<py::object*, 3> slots{&start, &end, &step};
  if (args.size() > slots.size()) {
    throw TypeError("arange() takes from 1 to 3 positional arguments but " + std::to_string(args.size()) +
                    " were given");
  }
  // One number alone is the end, if there is no other.
  const std::size_t first = args.size() == 1 && end.is_none() ? 1 : 0;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (args[i].is_none()) Signature("arange").refuse(args[i], kNames[first + i], static_cast<int>(i) + 1, "Number");
    if (!slots[first + i]->is_none()) throw TypeError("arange() got an argument both by place and by name");
    *slots[first + i] = args[i];
  }
  if (end.is_none()) throw TypeError("arange() missing 1 required positional arguments: \"end\"");
  if (first == 1 && !step.is_none() && start.is_none()) {
    throw TypeError("arange() received an invalid combination of arguments: a step wants a start, too");
  }
  Range range{std::int64_t{0}, to_scalar(end, "arange", "end", 1), std::int64_t{1}};
  if (!start.is_none()) range.start = to_scalar(start, "arange", "start", 1);
  if (!step.is_none()) range.step = to_scalar(step, "arange", "step", 3);
  return range;
}

py::object arange(Client& self, const py::args& args, py::object start, py::object end, py::object step,
                  py::handle dtype, py::handle name, py::handle metadata) {
  const Label label(name, metadata);
  Range range = to_range(args, std::move(start), std::move(end), std::move(step));
  const bool integral = is_integral(range.start) && is_integral(range.end) && is_integral(range.step);
  const DType type = to_dtype(dtype, integral ? kInt64 : kFloat32);
  if (info(type).kind == DTypeKind::kBool || info(type).kind == DTypeKind::kComplex) refuse_dtype("arange", type);
  range = {real(range.start), real(range.end), real(range.step)};
  const std::int64_t count = arange_size(range, type);
  return make(self, contiguous_geometry(Dims{count}), type, label,
              [&](std::byte* block) { write_arange(range, type, block, count); });
}

py::object linspace(Client& self, py::handle start, py::handle end, py::handle steps, py::handle dtype, py::handle name,
                    py::handle metadata) {
  const Label label(name, metadata);
  const Scalar from = to_scalar(start, "linspace", "start", 1);
  const Scalar to = to_scalar(end, "linspace", "end", 2);
  const std::int64_t count = Signature("linspace").integer(steps, "steps", 3);
  const DType inferred = is_complex(from) || is_complex(to) ? kComplex64 : kFloat32;
  const DType type = to_dtype(dtype, inferred);
  if (inferred == kComplex64 && info(type).kind != DTypeKind::kComplex) {
    throw RuntimeError("torch.linspace(): inferred dtype c10::complex<float> can't be safely cast to passed dtype " +
                       std::string(info(type).scalar_type));
  }
  if (count < 0) throw RuntimeError("number of steps must be non-negative, not " + std::to_string(count));
  if (count > 1 && info(type).kind == DTypeKind::kBool) refuse_dtype("linspace", type);
  return make(self, contiguous_geometry(Dims{count}), type, label,
              [&](std::byte* block) { write_linspace(from, to, type, block, count); });
}

py::object eye(Client& self, py::handle n, py::handle m, py::handle dtype, py::handle name, py::handle metadata) {
  const Label label(name, metadata);
  const Signature signature("eye");
  const std::int64_t rows = signature.integer(n, "n", 1);
  const std::int64_t columns = m.is_none() ? rows : signature.integer(m, "m", 2);
  if (rows < 0) throw RuntimeError("n must be greater or equal to 0, got " + std::to_string(rows));
  if (columns < 0) throw RuntimeError("m must be greater or equal to 0, got " + std::to_string(columns));
  const DType type = to_dtype(dtype, kFloat32);
  return make(self, contiguous_geometry(Dims{rows, columns}), type, label,
              [=](std::byte* block) { write_eye(rows, columns, type, block); });
}

}  // namespace

void define_sequences(ClientClass& client) {
  const auto dtype = py::arg("dtype") = py::none();
  const auto name = py::arg("name") = py::none();
  const auto metadata = py::arg("metadata") = py::none();
  client
      .def("arange", &arange, py::arg("start") = py::none(), py::arg("end") = py::none(), py::arg("step") = py::none(),
           dtype, name, metadata)
      .def("linspace", &linspace, py::arg("start"), py::arg("end"), py::arg("steps"), py::kw_only(), dtype, name,
           metadata)
      .def("eye", &eye, py::arg("n"), py::arg("m") = py::none(), py::kw_only(), dtype, name, metadata);
}

}  // namespace tensorbroker::python
