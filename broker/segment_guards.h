// The guards (guard.h) of every session segment that the store has mapped. On the loop's thread.

#ifndef TENSORBROKER_BROKER_SEGMENT_GUARDS_H_
#define TENSORBROKER_BROKER_SEGMENT_GUARDS_H_

#include <cstdint>
#include <map>
#include <vector>

#include "broker/guard.h"
#include "proto/session.h"

namespace tensorbroker::broker {

class SegmentGuards {
 public:
  // Told of each mapping, and before it is unmapped.
  void add(const SessionSegment& session);
  void remove(const SessionSegment& session);

  // Sessions whose segment is shorter than it was made, so that a fault was met.
  std::vector<std::uint64_t> truncated() const;

 private:
  std::map<std::uint64_t, GuardedMapping> guards_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_SEGMENT_GUARDS_H_
