// Copying large runs of memory at the speed of the memory bus.
//
// memcpy reads each cache line of the target before it writes it, up to some size. Streaming stores do not, which
// nearly doubles the rate of copies that are larger than the caches anyway; and one processor alone does not fill the
// bus. Pure; thread safe.

#ifndef TENSORBROKER_CLIENT_BULK_COPY_H_
#define TENSORBROKER_CLIENT_BULK_COPY_H_

#include <cstddef>

namespace tensorbroker {

// From so many bytes on the target would not fit the caches together with the source.
inline constexpr std::size_t kStreamedCopyBytes = 8 << 20;
// Shorter runs are not streamed, however many there are.
inline constexpr std::size_t kLeastStreamedRun = 16 << 10;
// From so many bytes on, of one run, it pays to start threads for the other processors.
inline constexpr std::size_t kParallelCopyBytes = 16 << 20;

// As memcpy. `together`: of how many bytes copied at one time this is a part, where it is; that decides whether it is
// streamed, where the processor can. REQUIRES: no overlap.
void bulk_copy(std::byte* to, const std::byte* from, std::size_t bytes, std::size_t together = 0) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_BULK_COPY_H_
