// Which of the broker's storages were given out by DLPack, by address: so that an array of another library's tensor
// over them is known again.
//
// Thread safe; needs no GIL; safe across fork.

#ifndef TENSORBROKER_PYTHON_SRC_EXPORTS_H_
#define TENSORBROKER_PYTHON_SRC_EXPORTS_H_

#include <tensorbroker/tensor.h>

#include <cstddef>
#include <utility>

namespace tensorbroker::python {

// Notes, as long as it lives, that the storage is given out once more. Holds no reference: whoever has it keeps the
// storage. Private pages and memory that is no broker's are not noted.
class NotedExport {
 public:
  explicit NotedExport(const detail::StorageRef& storage);
  NotedExport(NotedExport&& other) noexcept : begin_(std::exchange(other.begin_, nullptr)), storage_(other.storage_) {}
  NotedExport& operator=(NotedExport&&) = delete;
  ~NotedExport();

 private:
  const std::byte* begin_ = nullptr;  // null where nothing is noted
  detail::Storage* storage_ = nullptr;
};

// The storage, among those, whose memory the address lies in; null where there is none.
detail::StorageRef storage_exported_at(const void* address);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_EXPORTS_H_
