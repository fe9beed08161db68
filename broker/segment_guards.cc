#include "broker/segment_guards.h"

namespace tensorbroker::broker {

void SegmentGuards::add(const SessionSegment& session) {
  const Segment& segment = session.segment();
  guards_.insert_or_assign(session.id(), GuardedMapping(segment.data(), segment.size()));
}

void SegmentGuards::remove(const SessionSegment& session) { guards_.erase(session.id()); }

std::vector<std::uint64_t> SegmentGuards::truncated() const {
  std::vector<std::uint64_t> found;
  for (const auto& [session, guard] : guards_) {
    if (guard.truncated()) found.push_back(session);
  }
  return found;
}

}  // namespace tensorbroker::broker
