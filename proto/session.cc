#include "proto/session.h"

#include "proto/limits.h"
#include "proto/own_file.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr std::uint64_t kControlOffset = kPageSize;
constexpr std::uint64_t kReturnsOffset = kControlOffset + kPageSize;
constexpr std::uint64_t kRequestsOffset = kReturnsOffset + round_up_to_page(kReturnsLimit * sizeof(BlockReturn));
constexpr std::uint64_t kRepliesOffset = kRequestsOffset + round_up_to_page(kCommandRingWords * sizeof(Word));
constexpr std::uint64_t kLeasesOffset = kRepliesOffset + round_up_to_page(kCommandRingWords * sizeof(Word));
constexpr std::uint64_t kExtentStatesOffset = kLeasesOffset + round_up_to_page(kLeasesLimit * sizeof(Word));
constexpr std::uint64_t kSessionBytes = kExtentStatesOffset + round_up_to_page(kExtentStatesLimit * sizeof(Word));
constexpr std::uint64_t kReservedAtFirst = kLeasesOffset + kInitialLeases * sizeof(Word);

}  // namespace

SessionSegment SessionSegment::create(const InstanceName& name, std::uint64_t id, const InstanceId& instance) {
  flatbuffers::FlatBufferBuilder builder;
  schema::SessionTablesBuilder tables(builder);
  tables.add_control_offset(kControlOffset);
  tables.add_returns_offset(kReturnsOffset);
  tables.add_returns_limit(kReturnsLimit);
  tables.add_extent_states_offset(kExtentStatesOffset);
  tables.add_extent_states_limit(kExtentStatesLimit);
  tables.add_leases_offset(kLeasesOffset);
  tables.add_leases_limit(kLeasesLimit);
  tables.add_session_id(id);
  tables.add_requests_offset(kRequestsOffset);
  tables.add_replies_offset(kRepliesOffset);
  tables.add_command_ring_words(kCommandRingWords);
  const auto finished = tables.Finish();
  builder.FinishSizePrefixed(schema::CreateSegmentHeader(builder,
                                                         builder.CreateString(name.segment(SegmentKind::kSession, id)),
                                                         schema::SegmentTables::SessionTables, finished.Union()));

  SessionSegment session;
  session.segment_ = Segment::create(name, SegmentKind::kSession, id, kSessionBytes, instance,
                                     {builder.GetBufferPointer(), builder.GetSize()});
  session.bind(id);
  try {
    const ScopedDescriptor fd(open_segment_file(session.segment_.name(), Access::kReadWrite, name.uid));
    reserve_pages(fd.get(), 0, kReservedAtFirst, session.segment_.name());
    reserve_pages(fd.get(), kExtentStatesOffset, kPageSize, session.segment_.name());
  } catch (...) {
    unlink_segment(session.segment_.name());
    throw;
  }
  session.control().leases_committed.store(kInitialLeases, std::memory_order_release);
  session.segment_.finish();
  return session;
}

SessionSegment SessionSegment::open(const InstanceName& name, std::uint64_t id) {
  SessionSegment session;
  session.segment_ = Segment::open(name, SegmentKind::kSession, id, Access::kReadWrite);
  session.bind(id);
  return session;
}

SessionSegment SessionSegment::map(int fd, const InstanceName& name, std::uint64_t id) {
  SessionSegment session;
  session.segment_ = Segment::map(fd, name, SegmentKind::kSession, id, Access::kReadWrite);
  session.bind(id);
  return session;
}

void SessionSegment::bind(std::uint64_t id) {
  const schema::SessionTables* t = segment_.header().tables_as_SessionTables();
  if (t == nullptr || t->returns_limit() != kReturnsLimit || t->extent_states_limit() != kExtentStatesLimit ||
      t->leases_limit() != kLeasesLimit || t->command_ring_words() != kCommandRingWords) {
    throw CorruptSegmentError("the segment " + segment_.name() + " has no table of a session's tables");
  }
  if (t->session_id() != id) {
    throw CorruptSegmentError("the segment " + segment_.name() + " says that it is session " +
                              std::to_string(t->session_id()));
  }
  id_ = id;
  control_ = segment_.records<SessionControl>(t->control_offset(), 1);
  returns_ = segment_.records<BlockReturn>(t->returns_offset(), kReturnsLimit);
  extent_states_ = segment_.records<Word>(t->extent_states_offset(), kExtentStatesLimit);
  leases_ = segment_.records<Word>(t->leases_offset(), kLeasesLimit);
  SessionControl& c = *control_;
  rings_.requests = {.words = segment_.records<Word>(t->requests_offset(), kCommandRingWords),
                     .limit = kCommandRingWords,
                     .tail = &c.requests_tail,
                     .head = &c.requests_head,
                     .asleep = &c.requests_asleep,
                     .processor = &c.requests_processor};
  rings_.replies = {.words = segment_.records<Word>(t->replies_offset(), kCommandRingWords),
                    .limit = kCommandRingWords,
                    .tail = &c.replies_tail,
                    .head = &c.replies_head,
                    .asleep = &c.replies_asleep};
  leases_offset_ = t->leases_offset();
  extent_states_offset_ = t->extent_states_offset();
}

}  // namespace tensorbroker
