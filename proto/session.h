// A session's segment as one process has it mapped: control words, return ring, command rings, extent states, leases.
//
// Made by the broker, opened and locked by the client (its flock is the session's proof of life). See session_layout.h
// for the records and for who writes what.

#ifndef TENSORBROKER_PROTO_SESSION_H_
#define TENSORBROKER_PROTO_SESSION_H_

#include <cstdint>

#include "proto/command_ring.h"
#include "proto/segment.h"
#include "proto/session_layout.h"

namespace tensorbroker {

class SessionSegment {
 public:
  SessionSegment() = default;

  // Creates and finishes the segment: control words, rings and the first kInitialLeases cells have their pages.
  // Throws as Segment::create does.
  static SessionSegment create(const InstanceName& name, std::uint64_t id, const InstanceId& instance);

  // Throw as Segment::open does, and CorruptSegmentError where a table lies outside the segment.
  static SessionSegment open(const InstanceName& name, std::uint64_t id);
  static SessionSegment map(int fd, const InstanceName& name, std::uint64_t id);

  Segment& segment() noexcept { return segment_; }
  const Segment& segment() const noexcept { return segment_; }
  std::uint64_t id() const noexcept { return id_; }
  SessionControl& control() const noexcept { return *control_; }
  Word& lease(std::uint32_t cell) const noexcept { return leases_[cell]; }
  Word& extent_state(std::uint32_t slot) const noexcept { return extent_states_[slot]; }
  const CommandRings& command_rings() const noexcept { return rings_; }
  BlockReturn& block_return(std::uint64_t position) const noexcept { return returns_[position % kReturnsLimit]; }

  // Offsets within the segment, for reserving pages and for a mapping that moved.
  std::uint64_t leases_offset() const noexcept { return leases_offset_; }
  std::uint64_t extent_states_offset() const noexcept { return extent_states_offset_; }

 private:
  void bind(std::uint64_t id);

  Segment segment_;
  std::uint64_t id_ = 0;
  SessionControl* control_ = nullptr;
  BlockReturn* returns_ = nullptr;
  Word* extent_states_ = nullptr;
  Word* leases_ = nullptr;
  CommandRings rings_;
  std::uint64_t leases_offset_ = 0;
  std::uint64_t extent_states_offset_ = 0;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_SESSION_H_
