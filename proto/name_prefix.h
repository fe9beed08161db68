// Whether a name in the catalog's heap begins with a prefix, asked of a record that may be overwritten meanwhile.
//
// A plain value; thread safe.

#ifndef TENSORBROKER_PROTO_NAME_PREFIX_H_
#define TENSORBROKER_PROTO_NAME_PREFIX_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "proto/limits.h"

namespace tensorbroker {

class NamePrefix {
 public:
  explicit NamePrefix(std::string_view prefix) noexcept;

  // Whether the name of a heap record (heap_record.h) does not begin with it. Reads nothing beyond `record`; of bytes
  // that are no whole record the answer means nothing. REQUIRES: the record is aligned to 8.
  bool differs(std::span<const std::byte> record) const noexcept;

 private:
  std::size_t bytes_;
  std::size_t words_ = 0;
  // The prefix, and which bits of each word are the prefix's.
  std::array<std::uint64_t, (kMaxNameBytes + 7) / 8> wanted_{};
  std::array<std::uint64_t, (kMaxNameBytes + 7) / 8> mask_{};
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_NAME_PREFIX_H_
