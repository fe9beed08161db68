// Which storages were given out by DLPack, by address: so that an array of another library's tensor over them is known
// again.
//
// Thread safe; needs no GIL; safe across fork.

#ifndef TENSORBROKER_PYTHON_SRC_EXPORTS_H_
#define TENSORBROKER_PYTHON_SRC_EXPORTS_H_

#include <tensorbroker/tensor.h>

namespace tensorbroker::python {

// Notes that the storage is given out once more, or once less. The caller keeps it in between.
void note_export(detail::Storage* storage);
void forget_export(detail::Storage* storage) noexcept;

// The storage, among those, whose memory the address lies in; null where there is none.
detail::StorageRef storage_exported_at(const void* address);

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_EXPORTS_H_
