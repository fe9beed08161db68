// torch's promotion: which dtype holds the elements of two.

#ifndef TENSORBROKER_CLIENT_PROMOTE_H_
#define TENSORBROKER_CLIENT_PROMOTE_H_

#include <tensorbroker/dtype.h>

namespace tensorbroker {

// The dtype of what has elements of both. RuntimeError for the pairs that torch refuses: a float8 format with anything
// but itself; uint16, uint32 and uint64 with anything but themselves and real floats. Pure; safe from any thread.
DType promote_types(DType a, DType b);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_PROMOTE_H_
