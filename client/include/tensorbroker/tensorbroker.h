// Everything a C++ program needs: tensors that processes share, by name, in the same memory.
//
//   namespace tb = tensorbroker;
//   tb::Client client = tb::Client::connect();
//   tb::Tensor w = client.get("weights");           // no copy, no system call
//   const float* p = w.const_data_ptr<float>();

#ifndef TENSORBROKER_TENSORBROKER_H_
#define TENSORBROKER_TENSORBROKER_H_

#include <tensorbroker/bundle.h>
#include <tensorbroker/client.h>
#include <tensorbroker/dtype.h>
#include <tensorbroker/error.h>
#include <tensorbroker/events.h>
#include <tensorbroker/geometry.h>
#include <tensorbroker/sigbus.h>
#include <tensorbroker/tensor.h>

#endif  // TENSORBROKER_TENSORBROKER_H_
