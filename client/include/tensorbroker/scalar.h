// A number of any dtype, as Python has them.

#ifndef TENSORBROKER_SCALAR_H_
#define TENSORBROKER_SCALAR_H_

#include <complex>
#include <cstdint>
#include <variant>

namespace tensorbroker {

// The alternative tells the kind: a bool is not an int here, and a uint64 is what int64 does not hold (or any element
// of an unsigned dtype).
using Scalar = std::variant<bool, std::int64_t, std::uint64_t, double, std::complex<double>>;

}  // namespace tensorbroker

#endif  // TENSORBROKER_SCALAR_H_
