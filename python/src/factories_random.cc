// rand, randn, rand_like, randn_like: the numbers are NumPy's (python/tensorbroker/_random.py).

#include "client/strided.h"
#include "client/tensor_memory.h"
#include "proto/geometry.h"
#include "python/src/array.h"
#include "python/src/dtypes.h"
#include "python/src/factories.h"
#include "python/src/signature.h"

namespace tensorbroker::python {
namespace {

// One of the functions, and what it draws with.
struct Draw {
  const char* function;      // as errors name it
  const char* distribution;  // in _random.py
};
constexpr Draw kRand{"rand", "uniform"};
constexpr Draw kRandn{"randn", "normal"};
constexpr Draw kRandLike{"rand_like", "uniform"};
constexpr Draw kRandnLike{"randn_like", "normal"};

py::object draw(Client& self, const Draw& what, const Geometry& geometry, DType dtype, py::handle generator,
                const Label& label) {
  const DTypeKind kind = info(dtype).kind;
  if ((kind != DTypeKind::kFloat && kind != DTypeKind::kComplex) || itemsize(dtype) == 1) {
    refuse_dtype(what.function, dtype);
  }
  const std::int64_t count = checked_numel(geometry.sizes);
  const py::object numbers =
      py::module_::import("tensorbroker._random").attr(what.distribution)(count, dtype_object(dtype), generator);
  const Tensor source = from_array(numbers).view(geometry.sizes);
  return make(self, geometry, dtype, label, [&](std::byte* block) {
    copy_convert(geometry, dtype, block, source.geometry(), source.dtype(), base_of(source));
  });
}

template <const Draw& kWhat>
py::object of_size(Client& self, const py::args& size, py::handle generator, py::handle dtype, py::handle name,
                   py::handle metadata) {
  const Label label(name, metadata);
  const Geometry geometry = contiguous_geometry(Signature(kWhat.function).integers(size, "size"));
  return draw(self, kWhat, geometry, to_dtype(dtype, kFloat32), generator, label);
}

template <const Draw& kWhat>
py::object like(Client& self, py::handle input, py::handle generator, py::handle dtype, py::handle name,
                py::handle metadata) {
  const Label label(name, metadata);
  const Like model(input, dtype, kWhat.function);
  return draw(self, kWhat, model.geometry, model.dtype, generator, label);
}

}  // namespace

void define_random(ClientClass& client) {
  const auto generator = py::arg("generator") = py::none();
  const auto input = py::arg("input");
  const auto dtype = py::arg("dtype") = py::none();
  const auto name = py::arg("name") = py::none();
  const auto metadata = py::arg("metadata") = py::none();
  client.def("rand", &of_size<kRand>, generator, dtype, name, metadata)
      .def("randn", &of_size<kRandn>, generator, dtype, name, metadata)
      .def("rand_like", &like<kRandLike>, input, py::kw_only(), generator, dtype, name, metadata)
      .def("randn_like", &like<kRandnLike>, input, py::kw_only(), generator, dtype, name, metadata);
}

}  // namespace tensorbroker::python
