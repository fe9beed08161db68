// The text of a tensor, byte for byte what torch 2.13's repr() gives with its default print options.
//
// Pure, independent of the locale, safe from any thread for memory that nobody writes meanwhile (a mutable tensor may
// be written: the text then mixes old and new elements).

#ifndef TENSORBROKER_CLIENT_PRINT_H_
#define TENSORBROKER_CLIENT_PRINT_H_

#include <tensorbroker/dtype.h>
#include <tensorbroker/geometry.h>

#include <cstddef>
#include <string>

namespace tensorbroker {

// "tensor([[1, 2, 3],\n        [4, 5, 6]])". `storage` is where the storage begins, that is element -storage_offset.
// More than 1000 elements are summarised. REQUIRES: `geometry` passed check_geometry for the storage.
std::string to_string(const Geometry& geometry, DType dtype, const std::byte* storage);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_PRINT_H_
