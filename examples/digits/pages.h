// Says where the bytes of a tensor really lie, by asking the kernel. Thread safe.

#ifndef TENSORBROKER_EXAMPLES_DIGITS_PAGES_H_
#define TENSORBROKER_EXAMPLES_DIGITS_PAGES_H_

#include <tensorbroker/tensorbroker.h>

#include <cstddef>

namespace digits {

// 0 where the tensor lies in a mapping of the broker's shared memory (/proc/self/maps), else its size in bytes.
std::size_t bytes_outside_broker(const tensorbroker::Tensor& tensor);

}  // namespace digits

#endif  // TENSORBROKER_EXAMPLES_DIGITS_PAGES_H_
