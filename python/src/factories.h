// What the factories share: mutable tensors that the broker allocates, filled before anybody sees them.
//
// Wants the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_FACTORIES_H_
#define TENSORBROKER_PYTHON_SRC_FACTORIES_H_

#include <tensorbroker/client.h>

#include <string>
#include <string_view>

#include "client/publish.h"
#include "python/src/client_class.h"
#include "python/src/py_tensor.h"

namespace tensorbroker::python {

// Name and metadata of a tensor that is made; both may be empty. Throws as check_name and check_metadata do.
struct Label {
  Label(py::handle name_object, py::handle metadata_object);

  std::string_view name;
  std::string metadata;
};

// A mutable tensor of this geometry over a block of `nbytes`, which `fill_block` writes without the GIL. The
// geometry's offset counts from the block's begin.
Tensor make(Client& client, const Geometry& geometry, DType dtype, std::uint64_t nbytes, const Label& label,
            const Fill& fill_block);
// The same where the block is as long as the tensor.
py::object make(Client& client, const Geometry& geometry, DType dtype, const Label& label, const Fill& fill_block);
// The same with every element `value`, which the dtype must hold even where there is none. Throws as fill() does.
py::object make_filled(Client& client, const Geometry& geometry, DType dtype, const Scalar& value, const Label& label);

// A number, or the one that a 0-d tensor holds, for the argument `name`. TypeError for anything else, OverflowError
// beyond 64 bits.
Scalar to_scalar(py::handle value, const char* function, const char* name, int position);

// The dtype that torch gives to a Python number by its kind, whatever NumPy's type of it is.
DType default_dtype(const Scalar& value) noexcept;

// What a tensor shall be like: its layout is as torch.empty_like's. TypeError for what is no array or tensor.
struct Like {
  Like(py::handle input, py::handle dtype_object, const char* function);

  Geometry geometry;
  DType dtype = kFloat32;
};

// NotImplementedError, as torch raises where it has no such elements.
[[noreturn]] void refuse_dtype(const char* function, DType dtype);

void define_like(ClientClass& client);       // factories_like.cc: empty_like, zeros_like and so on
void define_sequences(ClientClass& client);  // factories_sequences.cc: arange, linspace, eye
void define_random(ClientClass& client);     // factories_random.cc: rand, randn, rand_like, randn_like

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_FACTORIES_H_
