#include "python/src/tensor_class.h"

#include "python/src/buffer.h"

namespace tensorbroker::python {

void define_tensor(py::module_& module) {
  TensorClass tensor(module, "Tensor", py::custom_type_setup(&set_buffer_protocol));
  define_geometry(tensor);
  define_views(tensor);
  define_copies(tensor);
  define_elements(tensor);
  define_interop(tensor);
  define_record(tensor);
}

}  // namespace tensorbroker::python
