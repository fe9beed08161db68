// A glance: what a reader sees of an entry without a lease, as a walk over the index sees those that it passes by, and
// copies most of those that it does not.
//
// Nothing keeps the entry meanwhile: it may be retired, freed and published again under another name, and its record
// overwritten. So: the generation, the cell, whatever is to be read, and the generation again. An entry never has one
// generation twice, and a cell of the index in force names an entry only while it is live under the cell's name. Where
// both looks found the same generation, the entry had it throughout, the look at the cell included: so it is that of
// the cell's name, and so is all that was read in between. (The same cell before and after says less: an entry may
// leave a name, serve another one, and come back.)
//
// A template over the word, for the model tests. Thread safe: any number of readers against the one broker.

#ifndef TENSORBROKER_PROTO_GLANCE_H_
#define TENSORBROKER_PROTO_GLANCE_H_

#include <atomic>
#include <cstdint>

#include "proto/catalog_layout.h"

namespace tensorbroker {

// Whether what `read()` read is of the entry as `word` names it. `cell`: what the word held, `entry`: whose id is in
// it. False says nothing: the entry changed. `read` may meet anything; it loads whole words, and checks what it goes
// by.
template <class W, class Read>
bool glance(const W& word, std::uint64_t cell, const BasicEntry<W>& entry, Read&& read) {
  const std::uint64_t generation = entry.generation.load(std::memory_order_acquire);
  if (word.load(std::memory_order_acquire) != cell) return false;
  read();
  // The broker has a fence between the end of a generation and the first store of what comes after it: whoever read
  // any of that sees the end.
  std::atomic_thread_fence(std::memory_order_acquire);
  return entry.generation.load(std::memory_order_relaxed) == generation;
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_GLANCE_H_
