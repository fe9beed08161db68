// From what lies in the catalog to tensors: the header of a leased entry, verified, as geometries over its block.
//
// Nothing of a header is used before it was verified, once for each leased storage. Pure functions over storages that
// the caller holds; thread safe.

#ifndef TENSORBROKER_CLIENT_DECODE_H_
#define TENSORBROKER_CLIENT_DECODE_H_

#include <tensorbroker/client.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/handle.h"
#include "client/storage.h"
#include "proto/schema/tensor_generated.h"

namespace tensorbroker {

// The header of a leased storage (or of a private copy of one), as a view that lasts as long as the storage.
// Throws CorruptSegmentError, naming the segment and the check that failed.
const schema::Header& verified_header(const detail::Storage& storage);
// The same without the checks. REQUIRES: verified_header() was called for the storage, or this process wrote it.
const schema::Header& trusted_header(const detail::Storage& storage);

// The metadata of a header: JSON text, "{}" where there is none.
std::string_view metadata_of(const schema::Header& header) noexcept;

// The one tensor of a leased tensor entry.
Tensor decode_tensor(detail::StorageRef storage);
// The members of a leased bundle entry, in their order.
std::vector<Bundle::Member> decode_members(const detail::StorageRef& storage);
// Bytes from the storage's begin to behind the last element of the tensor that it holds; of a bundle's, and where there
// is no header, the storage's length. A block is longer: it is padded.
std::uint64_t described_nbytes(const detail::Storage& storage);
// Whichever the storage holds. A bundle's members are decoded later.
Object decode_object(detail::StorageRef storage);

// What a listing says of a leased entry.
Info decode_info(const detail::StorageRef& storage);

// The handle of a leased storage, opened in this mode.
Handle handle_of(const detail::Storage& storage, OpenMode mode);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_DECODE_H_
