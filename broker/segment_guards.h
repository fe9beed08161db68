// The guards (guard.h) of every session segment that the store has mapped. On the loop's thread.

#ifndef TENSORBROKER_BROKER_SEGMENT_GUARDS_H_
#define TENSORBROKER_BROKER_SEGMENT_GUARDS_H_

#include <cstdint>
#include <map>
#include <vector>

#include "broker/guard.h"
#include "broker/store.h"

namespace tensorbroker::broker {

class SegmentGuards {
 public:
  // What tells this object of mappings; it must outlive the store that gets it.
  StoreHooks hooks();

  // Sessions whose segment is shorter than it was made, so that a fault was met.
  std::vector<std::uint64_t> truncated() const;

 private:
  std::map<std::uint64_t, GuardedMapping> guards_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_SEGMENT_GUARDS_H_
