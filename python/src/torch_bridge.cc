#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "client/storage.h"
#include "proto/geometry.h"
#include "python/src/arguments.h"
#include "python/src/dlpack.h"
#include "python/src/memory.h"

namespace tensorbroker::python {
namespace {

using detail::offset_in_storage;

py::module_ import_torch() {
  try {
    return py::module_::import("torch");
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ModuleNotFoundError)) throw;
    throw py::import_error("torch() needs PyTorch: pip install torch, or use numpy()");
  }
}

// `tensor` may be given to torch as it is.
py::object hand_over(const Tensor& tensor) {
  return import_torch().attr("utils").attr("dlpack").attr("from_dlpack")(make_capsule(tensor, true, 0));
}

std::size_t reach(const Tensor& tensor) {
  return static_cast<std::size_t>(checked_reach(tensor.geometry(), tensor.itemsize()));
}

std::size_t end_of(const Tensor& tensor) { return offset_in_storage(tensor) + reach(tensor); }

// Tensors that overlap in memory: as views of one torch tensor over the bytes that they reach.
void hand_over_tied(const std::vector<Tensor>& tensors, std::span<const std::size_t> tied,
                    std::vector<py::object>* out) {
  constexpr std::size_t kLargestItem = 16;
  std::size_t end = 0;
  for (const std::size_t i : tied) end = std::max(end, end_of(tensors[i]));
  const Tensor& first = tensors[tied.front()];
  const std::size_t begin = offset_in_storage(first) / kLargestItem * kLargestItem;
  const Tensor bytes(first.storage(), first.storage()->data() + begin, kUInt8,
                     Geometry{{static_cast<std::int64_t>(end - begin)}, {1}, 0});
  const py::object all = hand_over(bytes);
  for (const std::size_t i : tied) {
    const Tensor& tensor = tensors[i];
    const py::object dtype = import_torch().attr(std::string(name(tensor.dtype())).c_str());
    const py::object part = all.attr("narrow")(0, offset_in_storage(tensor) - begin, reach(tensor));
    const py::object typed = part.attr("view")(dtype);
    (*out)[i] =
        typed.attr("as_strided")(to_tuple(tensor.sizes()), to_tuple(tensor.strides()), typed.attr("storage_offset")());
  }
}

}  // namespace

py::object to_torch(const Tensor& tensor) { return hand_over(exportable(tensor)); }

std::vector<py::object> to_torch(const std::vector<Tensor>& tensors) {
  std::vector<py::object> result(tensors.size());
  std::vector<Tensor> exported;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    exported.push_back(exportable(tensors[i]));
    if (exported[i].numel() == 0) {
      result[i] = hand_over(exported[i]);
    } else {
      order.push_back(i);
    }
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return offset_in_storage(exported[a]) < offset_in_storage(exported[b]);
  });
  for (std::size_t from = 0; from < order.size();) {
    std::size_t to = from + 1;
    std::size_t end = end_of(exported[order[from]]);
    while (to < order.size() && offset_in_storage(exported[order[to]]) < end)
      end = std::max(end, end_of(exported[order[to++]]));
    const std::span tied(order.data() + from, to - from);
    if (tied.size() == 1) {
      result[tied.front()] = hand_over(exported[tied.front()]);
    } else {
      hand_over_tied(exported, tied, &result);
    }
    from = to;
  }
  return result;
}

}  // namespace tensorbroker::python
