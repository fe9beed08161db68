// tensorbroker.Client: its methods, in groups of one file each, and connect().
//
// Each function adds its group. Call once, with the GIL. Every method gives the GIL up while it looks, copies or talks
// to the broker.

#ifndef TENSORBROKER_PYTHON_SRC_CLIENT_CLASS_H_
#define TENSORBROKER_PYTHON_SRC_CLIENT_CLASS_H_

#include <pybind11/pybind11.h>
#include <tensorbroker/client.h>

namespace tensorbroker::python {

using ClientClass = pybind11::class_<Client>;

// Creates the class and connect() in `module` and adds everything to it.
void define_client(pybind11::module_& module);

void define_reading(ClientClass& client);    // client_reading.cc: get, open, list, wait
void define_writing(ClientClass& client);    // client_writing.cc: put, create, delete
void define_files(ClientClass& client);      // client_files.cc: load_safetensors, save_safetensors
void define_factories(ClientClass& client);  // factories.cc: tensor, empty, zeros, ones, full
// watch.cc: the iterator of watch(), and the method.
void define_watch(pybind11::module_& module, ClientClass& client);
// wait_queue_class.cc: what the asyncio side stands on.
void define_wait_queue(pybind11::module_& module, ClientClass& client);

// events.cc: the iterator of events(), and the method.
void define_events(pybind11::module_& module, ClientClass& client);

// Lets Ctrl-C and other signals' handlers run while a call waits without the GIL; what they raise ends the call.
InterruptCheck interrupt_check();

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_CLIENT_CLASS_H_
