#include <atomic>
#include <string>

#include "broker/boottime.h"
#include "broker/reclaim.h"
#include "broker/state.h"
#include "broker/store.h"
#include "proto/name.h"

namespace tensorbroker::broker {
namespace {

// A session's, until it has leased the entry.
Pin pin_of(std::uint64_t session, EntryId entry, std::uint64_t generation) {
  return {.session = session,
          .entry = entry,
          .generation = retired(generation),
          .deadline_ns = boottime_in_seconds(Store::kPinSeconds)};
}

// Nobody's, until it is received.
Pin pin_of_sent(EntryId entry, std::uint64_t generation, std::uint64_t token, std::uint64_t sender) {
  return {.entry = entry,
          .generation = retired(generation),
          .deadline_ns = boottime_in_seconds(Store::kSentSeconds),
          .token = token,
          .sender = sender};
}

}  // namespace

// An entry that no cell names any more, and whose live bit is clear.
void Store::State::retire(EntryId id) {
  retired.push_back(id);
  counted.retired += block_of(id).bytes;
  reclaim_due = true;
}

std::vector<bool> Store::State::held_entries() {
  std::vector<LeaseTable> tables;
  tables.reserve(sessions.size());
  for (const auto& [id, holder] : sessions) tables.push_back(holder.lease_table());
  std::vector<bool> held = leased_entries(tables, entries.committed());
  for (const auto& [slot, pin] : pins.all()) {
    if (pin.entry < held.size()) held[pin.entry] = true;
  }
  return held;
}

// Nobody waits for the end of a pin that is gone already: what it kept is looked at now.
void Store::State::expire_pins() {
  if (pins.expire(catalog, boottime_ns())) reclaim_due = true;
}

std::size_t Store::State::reclaim() {
  expire_pins();
  reclaim_due = false;
  ++counted.reclaim_passes;
  const std::vector<bool> held = held_entries();
  // Before anything of them is overwritten: for those who look at them without a lease (proto/glance.h).
  std::atomic_thread_fence(std::memory_order_release);
  const std::size_t before = retired.size();
  std::erase_if(retired, [&](EntryId id) { return !held[id] && free_entry(id); });
  counted.reclaimed += before - retired.size();
  return before - retired.size();
}

// Frees an entry that nobody holds; false where its block must wait for a place in its owner's ring.
bool Store::State::free_entry(EntryId id) {
  const Entry& entry = catalog.entry(id);
  const Range block = block_of(id);
  const Extent* const extent = block.empty() ? nullptr : extents.containing(block);
  if (extent != nullptr && !return_block(sessions.at(extent->owner), block, entry.generation.load())) return false;
  blocks.erase(block);
  const std::uint64_t publisher = entry.owner.load(std::memory_order_relaxed);
  accounts.discharge(publisher, use_of_records(id));
  if (extent == nullptr) {
    empty_pages(block);
    accounts.discharge(publisher, {.bytes = static_cast<std::int64_t>(block.bytes), .tensors = 0});
  }
  counted.retired -= block.bytes;
  entries.release(catalog, id);
  heap.free(HeapRef::unpack(entry.header.load(std::memory_order_relaxed)));
  return true;
}

bool Store::State::return_block(Session& owner, const Range& block, std::uint64_t generation) {
  SessionControl& control = owner.segment.control();
  // The tail is the client's word: one that is nonsense fills the ring, to the client's own harm.
  if (owner.returns_head - control.returns_tail.load(std::memory_order_acquire) >= kReturnsLimit) return false;
  BlockReturn& given = owner.segment.block_return(owner.returns_head);
  given.block_offset.store(block.offset, std::memory_order_relaxed);
  given.generation.store(generation, std::memory_order_relaxed);
  control.returns_head.store(++owner.returns_head, std::memory_order_release);
  ++counted.block_returns;
  return true;
}

// The pages that a block without extent leaves empty go to the pool. REQUIRES: the block is in the map no more.
void Store::State::empty_pages(const Range& block) {
  const Range pages = blocks.pages_of_its_own(block);
  if (pages.empty()) return;
  used -= pages.bytes;
  pool.give(pages, Warmth::kWarm);
}

std::size_t Store::reclaim() { return state_->reclaim(); }

void Store::reclaim_if_due() {
  State& s = *state_;
  bool due = s.reclaim_due;
  for (auto at = s.sessions.begin(); !due && at != s.sessions.end(); ++at) {
    due = at->second.segment.control().ring.load(std::memory_order_relaxed) != 0;
  }
  if (due) s.reclaim();
}

bool Store::rang(std::uint64_t id) const {
  return state_->session(id).segment.control().ring.load(std::memory_order_relaxed) != 0;
}

std::size_t Store::retired_entries() const noexcept { return state_->retired.size(); }

std::optional<std::uint64_t> Store::next_pin_deadline() const { return state_->pins.next_deadline(); }

Pinned Store::pin_name(std::uint64_t id, std::string_view name) {
  State& s = *state_;
  s.check_open();
  check_name(name);
  const EntryId entry = s.find(hash_name(name), name).entry;
  if (entry == kNoEntry) throw NotFoundError("there is no tensor \"" + std::string(name) + "\"");
  return pin_entry(id, entry, s.catalog.entry(entry).generation.load());
}

Pinned Store::pin_entry(std::uint64_t id, EntryId entry, std::uint64_t generation) {
  State& s = *state_;
  s.check_open();
  s.session(id);
  const std::uint64_t present = s.check_used(entry, generation);
  s.expire_pins();
  s.check_pins(id);
  s.pins.add(s.catalog, s.file, pin_of(id, entry, generation));
  return {.entry = entry, .generation = present};
}

void Store::send(EntryId entry, std::uint64_t generation, std::uint64_t token, std::uint64_t sender) {
  State& s = *state_;
  s.check_open();
  if (token == 0) throw InvalidArgumentError("entry " + std::to_string(entry) + " was sent with the token 0");
  s.check_used(entry, generation);
  const Pin pin = pin_of_sent(entry, generation, token, sender);
  s.expire_pins();
  if (s.pins.contains(pin)) return;
  s.check_pins(sender);
  s.pins.add(s.catalog, s.file, pin);
}

Pinned Store::receive(std::uint64_t id, EntryId entry, std::uint64_t generation, std::uint64_t token) {
  State& s = *state_;
  s.check_open();
  s.session(id);
  const std::uint64_t present = s.check_used(entry, generation);
  const bool on_its_way =
      s.pins.turn(s.catalog, pin_of_sent(entry, generation, token, 0), pin_of(id, entry, generation));
  return on_its_way ? Pinned{.entry = entry, .generation = present} : pin_entry(id, entry, generation);
}

void Store::unpin(std::uint64_t id, EntryId entry, std::uint64_t generation) {
  State& s = *state_;
  s.pins.remove(s.catalog, pin_of(id, entry, generation));
  s.reclaim_due = s.reclaim_due || !s.retired.empty();
}

// The generation of an entry in use. Throws NotFoundError where it is another than the one meant.
std::uint64_t Store::State::check_used(EntryId id, std::uint64_t generation) const {
  if (id < entries.committed()) {
    const Entry& entry = catalog.entry(id);
    const std::uint64_t present = entry.generation.load(std::memory_order_acquire);
    const bool in_use = EntryState::unpack(entry.state.load()).phase == EntryPhase::kUsed;
    if (in_use && tensorbroker::retired(present) == tensorbroker::retired(generation)) return present;
  }
  throw NotFoundError("the tensor of entry " + std::to_string(id) + ", version " +
                      std::to_string(version_of(generation)) + ", is gone");
}

std::uint64_t Store::holders(EntryId entry, std::uint64_t generation) const {
  state_->check_used(entry, generation);
  std::uint64_t count = 0;
  for (const auto& [id, holder] : state_->sessions) {
    bool holds = false;
    for_each_lease(holder.lease_table(), [&](std::uint64_t leased) { holds = holds || leased == entry; });
    count += holds ? 1 : 0;
  }
  return count;
}

}  // namespace tensorbroker::broker
