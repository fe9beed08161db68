#include "tests/bench/publisher.h"

#include <chrono>
#include <csignal>
#include <filesystem>

#include "client/client_impl.h"
#include "proto/event_ring.h"
#include "proto/futex.h"
#include "proto/heap_record.h"
#include "proto/name.h"
#include "proto/segment_name.h"

namespace tensorbroker::bench {
namespace {

InstanceName name_of(const Instance& instance) { return {geteuid(), instance.options().instance}; }

// The instance's segments of a kind.
std::vector<std::uint64_t> segments(const InstanceName& name, SegmentKind kind) {
  std::vector<std::uint64_t> ids;
  for (const auto& file : std::filesystem::directory_iterator("/dev/shm")) {
    const auto segment = parse_segment_name(name, file.path().filename().string());
    if (segment && segment->kind == kind) ids.push_back(segment->id);
  }
  return ids;
}

std::uint64_t read(const Word& word) { return word.load(std::memory_order_relaxed); }

void increment(Word& word) { word.store(read(word) + 1, std::memory_order_seq_cst); }

}  // namespace

Publisher::Publisher(Instance& instance, const std::string& name)
    : name_(name),
      hash_(hash_name(name)),
      broker_(static_cast<pid_t>(instance.client().stats().broker_pid)),
      catalog_(Catalog::open(name_of(instance), segments(name_of(instance), SegmentKind::kCatalog).at(0),
                             Access::kReadWrite)) {
  for (Slot& slot : slots_) slot = put(instance);
  for (const std::uint64_t id : segments(name_of(instance), SegmentKind::kSession)) {
    sessions_.push_back(SessionSegment::open(name_of(instance), id));
  }
  kill(broker_, SIGSTOP);
}

Publisher::~Publisher() { kill(broker_, SIGKILL); }

Publisher::Slot Publisher::put(Instance& instance) {
  const float value = 0;
  held_.push_back(instance.client().put(name_, from_blob(&value, {1}, kFloat32)));
  const IndexRoot index = IndexRoot::unpack(catalog_.root().index.load());
  const Word* const cells = catalog_.view().index[index.region];
  for (cell_ = 0;; ++cell_) {
    if (cell_is_entry(read(cells[cell_])) && catalog_.entry_has_name(cell_entry(read(cells[cell_])), hash_, name_)) {
      break;
    }
  }
  Slot slot;
  slot.entry = cell_entry(read(cells[cell_]));
  const Entry& entry = catalog_.entry(slot.entry);
  const HeapRecord record = catalog_.record(slot.entry);
  slot.header.assign(record.header.begin(), record.header.end());
  slot.fields = {.name_hash = hash_,
                 .header = HeapRef::unpack(read(entry.header)),
                 .block_offset = read(entry.block_offset),
                 .block_bytes = read(entry.block_bytes),
                 .created_us = read(entry.created_us),
                 .state = EntryState::unpack(read(entry.state))};
  return slot;
}

// Nobody leases what is replaced by now: the waiter has let go of it, and this process knows.
broker::Mutation Publisher::prepare(const Slot& next, const Slot& replaced) {
  Word& counter = catalog_.root().next_generation;
  const std::uint64_t generation = read(counter) << 1 | 1;
  write_heap_record({tensorbroker::retired(generation), name_, next.header},
                    catalog_.heap() + next.fields.header.offset);
  counter.store(version_of(generation) + 1, std::memory_order_release);
  broker::fill_spare(catalog_.entry(next.entry), next.fields);
  return {.kind = IntentKind::kPublish,
          .cell = cell_,
          .cell_value = make_cell(hash_, next.entry),
          .entry = next.entry,
          .generation = generation,
          .replaced = replaced.entry,
          .replaced_generation = read(catalog_.entry(replaced.entry).generation),
          .result = generation};
}

std::int64_t Publisher::publish() {
  const broker::Mutation mutation = prepare(slots_[second_ ? 0 : 1], slots_[second_ ? 1 : 0]);
  second_ = !second_;
  const IndexRoot index = IndexRoot::unpack(read(catalog_.root().index));
  __builtin_prefetch(&catalog_.view().index[index.region][cell_], 1);
  __builtin_prefetch(&catalog_.entry(mutation.replaced), 1);
  broker::write_intent(catalog_.root().intent, mutation);
  const std::int64_t before = std::chrono::steady_clock::now().time_since_epoch().count();
  broker::carry_out(catalog_.view(), window_, mutation);
  const HeapRef header = slots_[second_ ? 1 : 0].fields.header;
  catalog_.wait_hint(hash_).store(PublishedHint{mutation.entry, header.offset}.pack(), std::memory_order_relaxed);
  increment(catalog_.wait_word(hash_));
  append_event(catalog_.events(), EventType::kPublish, version_of(mutation.generation), name_);
  increment(catalog_.root().changes);
  wake();
  return before;
}

void Publisher::wake() const {
  for (const SessionSegment& session : sessions_) {
    if (session.control().waiters.load(std::memory_order_seq_cst) == 0) continue;
    futex_wake_all(catalog_.wait_word(hash_));
    futex_wake_all(catalog_.root().changes);
    return;
  }
}

}  // namespace tensorbroker::bench
