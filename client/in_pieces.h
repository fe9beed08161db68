// Work that is cut into pieces, of which several threads take one after the other.
//
// The threads live as long as the call. Whoever is put aside by others on this machine has one piece at that moment;
// the rest goes to those who run. Thread safe.

#ifndef TENSORBROKER_CLIENT_IN_PIECES_H_
#define TENSORBROKER_CLIENT_IN_PIECES_H_

#include <cstddef>
#include <functional>

namespace tensorbroker {

// Threads that work at one time, the caller among them: so many have the memory bus to the full.
inline constexpr std::size_t kMostAtWork = 4;

// Calls `work` with each number below `count`, from this thread and from one for each further processor that this one
// may run on, where they can be had. `work` must not throw, and is called from several threads at once.
void in_pieces(std::size_t count, const std::function<void(std::size_t piece)>& work) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_IN_PIECES_H_
