// Broker memory that torch tensors lie in, on its way between processes by torch.multiprocessing.
//
// Functions want the GIL.

#ifndef TENSORBROKER_PYTHON_SRC_PROCESSES_H_
#define TENSORBROKER_PYTHON_SRC_PROCESSES_H_

#include <pybind11/pybind11.h>

namespace tensorbroker::python {

// Adds _send_memory(address, nbytes): what receive_view() makes a uint8 tensor over the same bytes of in another
// process, where they lie in a broker's storage that DLPack gave out; else None. RuntimeError for those of a draft.
void define_processes(pybind11::module_& module);

// Has torch.multiprocessing, where it is imported and was not told yet, send broker memory by handle. Called with every
// export, so that neither side pays for importing the other.
void teach_torch_processes();

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_PROCESSES_H_
