// From what lies in the catalog to tensors: the header of a leased entry, verified, as geometries over its block.
//
// A header is copied out of its segment, to which others may write, or which they may truncate, before it is verified:
// what was found right is what is used. Functions over storages that the caller holds; thread safe.

#ifndef TENSORBROKER_CLIENT_DECODE_H_
#define TENSORBROKER_CLIENT_DECODE_H_

#include <tensorbroker/client.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/handle.h"
#include "client/storage.h"
#include "proto/catalog.h"
#include "proto/schema/tensor_generated.h"

namespace tensorbroker {

// A copy of the header of a leased storage (or of a private copy of one), not verified yet.
class HeaderCopy {
 public:
  explicit HeaderCopy(const detail::Storage& storage);
  HeaderCopy(const HeaderCopy&) = delete;
  HeaderCopy& operator=(const HeaderCopy&) = delete;

  std::span<const std::byte> bytes() const noexcept { return {reinterpret_cast<const std::byte*>(words_), size_}; }
  // Where it was copied from.
  const std::byte* original() const noexcept { return original_; }

 private:
  std::array<std::uint64_t, 32> near_;  // that of most tensors
  std::unique_ptr<std::uint64_t[]> far_;
  std::uint64_t* words_ = near_.data();
  const std::byte* original_;
  std::size_t size_;
};

// The same, verified. Throws CorruptSegmentError, naming the segment and the check that failed.
class VerifiedHeader {
 public:
  explicit VerifiedHeader(const detail::Storage& storage) : copy_(storage), header_(verify(copy_, storage)) {}

  const schema::Header& operator*() const noexcept { return header_; }
  const schema::Header* operator->() const noexcept { return &header_; }
  const HeaderCopy& copy() const noexcept { return copy_; }

  // The check alone, of a copy that must outlive what is returned.
  static const schema::Header& verify(const HeaderCopy& copy, const detail::Storage& storage);

 private:
  const HeaderCopy copy_;
  const schema::Header& header_;
};

// The same of any private copy of an entry's header, which must outlive what is returned.
const schema::Header& verify_header(std::span<const std::byte> copy, std::uint64_t block_bytes, bool is_bundle,
                                    EntryId entry, const Catalog& catalog);

// The metadata of a header: JSON text, "{}" where there is none.
std::string_view metadata_of(const schema::Header& header) noexcept;
// The same of a leased storage, as a view that lasts as long as the storage. Throws CorruptSegmentError.
std::string_view metadata_of(const detail::Storage& storage);

// The one tensor of a leased tensor entry.
Tensor decode_tensor(detail::StorageRef storage);
// The members of a leased bundle entry, in their order.
std::vector<Bundle::Member> decode_members(const detail::StorageRef& storage, const schema::Header& verified);
// Bytes from the storage's begin to behind the last element of the tensor that it holds; of a bundle's, and where there
// is no header, the storage's length. A block is longer: it is padded.
std::uint64_t described_nbytes(const detail::Storage& storage);
// Whichever the storage holds. A bundle's members are decoded later.
Object decode_object(detail::StorageRef storage);

// The handle of a leased storage, opened in this mode.
Handle handle_of(const detail::Storage& storage, OpenMode mode);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_DECODE_H_
