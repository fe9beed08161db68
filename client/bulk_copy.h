// Copying large runs of memory at the speed of the memory bus.
//
// memcpy reads each cache line of the target before it writes it. Streaming stores do not, which nearly doubles the
// rate of copies that are larger than the caches anyway. Pure; thread safe.

#ifndef TENSORBROKER_CLIENT_BULK_COPY_H_
#define TENSORBROKER_CLIENT_BULK_COPY_H_

#include <cstddef>

namespace tensorbroker {

// From so many bytes on the target would not fit the caches together with the source.
inline constexpr std::size_t kStreamedCopyBytes = 8 << 20;

// As memcpy; streamed from kStreamedCopyBytes on where the processor can. REQUIRES: no overlap.
void bulk_copy(std::byte* to, const std::byte* from, std::size_t bytes) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_BULK_COPY_H_
