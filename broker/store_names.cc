#include <chrono>
#include <string>
#include <utility>

#include "broker/publication.h"
#include "broker/state.h"
#include "broker/store.h"
#include "proto/futex.h"
#include "proto/header.h"
#include "proto/heap_record.h"
#include "proto/name.h"
#include "proto/name_beginnings.h"

namespace tensorbroker::broker {
namespace {

std::uint64_t now_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

void increment(Word& word) { word.store(word.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst); }

}  // namespace

// The result of a mutation that was carried out before.
std::optional<std::uint64_t> Store::State::repeated(const Session& session, std::uint64_t sequence) const {
  if (sequence == 0) throw InvalidArgumentError("the sequence number 0 was sent; they begin at 1");
  const SessionRecord& record = catalog.session(session.record);
  if (const auto result = earlier_result(record, sequence)) return result;
  const std::uint64_t newest = record.window[sequence % kWindow].sequence.load(std::memory_order_relaxed);
  if (newest > sequence) {
    throw RuntimeError("the mutation with sequence number " + std::to_string(sequence) + " was sent again after " +
                       std::to_string(newest) + "; its result is no longer kept");
  }
  return std::nullopt;
}

// The publication's block with its padding. Throws InvalidArgumentError unless it is the session's to publish.
Range Store::State::check_block(const Session& owner, const Publication& p) const {
  if (p.block_bytes == 0) return {};
  const auto refuse = [&p](const std::string& why) {
    throw InvalidArgumentError("a block of " + std::to_string(p.block_bytes) + " bytes at " +
                               std::to_string(p.block_offset) + " was published: " + why);
  };
  if (p.block_bytes > options.arena_bytes || p.block_offset > options.arena_bytes) refuse("it lies beyond the arena");
  const std::uint64_t alignment = block_alignment(p.block_bytes, p.is_mutable);
  if (p.block_offset % alignment != 0) refuse("its offset must be a multiple of " + std::to_string(alignment));
  const Range block{p.block_offset, padded_block_bytes(p.block_bytes, p.is_mutable)};
  const Extent* const extent = extents.containing(block);
  if (extent == nullptr || extent->owner != owner.id || extent->taken) {
    refuse("it does not lie in an extent of session " + std::to_string(owner.id));
  }
  if (const EntryId other = blocks.overlapping(block); other != kNoEntry) {
    refuse("it overlaps the block of entry " + std::to_string(other));
  }
  return block;
}

void Store::State::check_publication(const Session& publisher, const Publication& p) const {
  if (!publisher.spares.contains(p.entry)) {
    throw InvalidArgumentError("entry " + std::to_string(p.entry) + " is not a spare of session " +
                               std::to_string(publisher.id));
  }
  if (!p.name.empty()) check_name(p.name);
  if (p.header.size() > kMaxHeaderBytes) {
    throw InvalidArgumentError("a header of " + std::to_string(p.header.size()) + " bytes was sent; the most are " +
                               std::to_string(kMaxHeaderBytes));
  }
  check_header(p.header, p.block_bytes, p.is_bundle);
}

NameIndex::Place Store::State::find(std::uint64_t hash, std::string_view wanted) const {
  return index.find(hash, [&](EntryId id) { return catalog.entry_has_name(id, hash, wanted); });
}

// Whether the entry is what its name leads to. Listings find it by its beginnings from now on, whatever these were.
bool Store::State::adopt_name(EntryId id) {
  const std::string_view called = catalog.record(id).name;
  const NameIndex::Place place = find(hash_name(called), called);
  if (place.entry != id) return false;
  index.mend_beginnings(place.cell, beginnings_of(called));
  return true;
}

// The cell that will name the publication, in the index that is in force once this returns.
NameIndex::Place Store::State::place_for(std::uint64_t hash, const Publication& p) {
  const NameIndex::Place place = find(hash, p.name);
  if (place.entry != kNoEntry) {
    if (!p.overwrite) throw ExistsError("the name \"" + std::string(p.name) + "\" is taken; delete it or overwrite it");
    return place;
  }
  index.fetch_beginnings(place.cell);
  if (index.names() >= options.max_tensors) {
    throw OutOfMemoryError("the instance has " + std::to_string(index.names()) +
                           " names, as many as its limit; delete some, or raise --max-tensors");
  }
  return advance_index(place) ? find(hash, p.name) : place;
}

// Before a new name: whether another index is in force now. That the machine is full matters to a name only that finds
// no cell in this one.
bool Store::State::advance_index(const NameIndex::Place& place) {
  try {
    const bool rebuilt = index.make_room(
        [this](unsigned region, std::uint64_t begin, std::uint64_t cells) { reserve_index(region, begin, cells); });
    counted.index_rebuilds += rebuilt ? 1 : 0;
    return rebuilt;
  } catch (const OutOfMemoryError&) {
    if (index.load(place.cell) != kTombstone && !index.has_room()) throw;
    return false;
  }
}

HeapRef Store::State::store_header(const Publication& p, std::uint64_t generation) {
  const auto bytes = static_cast<std::uint32_t>(heap_record_bytes(p.name.size(), p.header.size()));
  HeapRef ref;
  try {
    ref = heap.allocate(catalog, file, bytes);
  } catch (const OutOfMemoryError&) {
    if (reclaim() == 0) throw;
    ref = heap.allocate(catalog, file, bytes);
  }
  write_heap_record({tensorbroker::retired(generation), p.name, p.header}, catalog.heap() + ref.offset);
  return ref;
}

void Store::State::tell_of(EntryId published, std::uint64_t hash) const {
  if (published != kNoEntry) {
    const HeapRef header = HeapRef::unpack(catalog.entry(published).header.load(std::memory_order_relaxed));
    catalog.wait_hint(hash).store(PublishedHint{published, header.offset}.pack(), std::memory_order_relaxed);
  }
  increment(catalog.wait_word(hash));
}

// Carries out a mutation, tells of it those who spin on the name's word, and keeps count of what it did.
void Store::State::apply(Session& actor, const Mutation& m, std::optional<std::uint64_t> hash) {
  const std::uint64_t before = m.cell != kNoCell ? index.load(m.cell) : 0;
  // Readers have these lines: they come together, before the first of the stores waits for one.
  if (m.cell != kNoCell) index.fetch(m.cell);
  if (m.replaced != kNoEntry) __builtin_prefetch(&catalog.entry(m.replaced), 1);
  commit(catalog.view(), catalog.session(actor.record), m);
  if (hash) tell_of(m.entry, *hash);
  if (m.cell != kNoCell) index.changed(m.cell, before, m.cell_value);
  if (m.entry != kNoEntry) {
    actor.spares.erase(m.entry);
    accounts.charge(actor.id, use_of_records(m.entry));
    const Range block = block_of(m.entry);
    blocks.insert(block, m.entry);
    if (m.cell != kNoCell) {
      counted.live += block.bytes;
      count_name(m.entry, true);
    } else {
      counted.retired += block.bytes;
      retired.push_back(m.entry);
    }
  }
  if (m.replaced != kNoEntry) {
    counted.live -= block_of(m.replaced).bytes;
    count_name(m.replaced, false);
    retire(m.replaced);
  }
}

std::uint64_t Store::publish(std::uint64_t id, std::uint64_t sequence, const Publication& p) {
  State& s = *state_;
  s.check_open();
  Session& session = s.session(id);
  if (const auto result = s.repeated(session, sequence)) return *result;
  s.check_publication(session, p);
  const Range block = s.check_block(session, p);
  const bool named = !p.name.empty();
  const std::uint64_t hash = hash_name(p.name);
  const NameIndex::Place place = named ? s.place_for(hash, p) : NameIndex::Place{kNoCell, kNoEntry};

  s.check_publication_quota(session, place.entry, heap_record_bytes(p.name.size(), p.header.size()));
  Word& counter = s.catalog.root().next_generation;
  const std::uint64_t generation = counter.load(std::memory_order_relaxed) << 1 | (named ? 1 : 0);
  const HeapRef header = s.store_header(p, generation);
  counter.store(version_of(generation) + 1, std::memory_order_release);
  const EntryState state{
      .phase = EntryPhase::kSpare, .is_bundle = p.is_bundle, .is_mutable = p.is_mutable, .is_named = named};
  fill_spare(s.catalog.entry(p.entry), {.name_hash = hash,
                                        .header = header,
                                        .block_offset = block.offset,
                                        .block_bytes = block.bytes,
                                        .created_us = now_us(),
                                        .state = state});
  Mutation m{.kind = IntentKind::kPublish,
             .cell = place.cell,
             .cell_value = named ? make_cell(hash, p.entry) : 0,
             .beginnings = place.entry == kNoEntry ? beginnings_of(p.name) : 0,
             .entry = p.entry,
             .generation = generation,
             .session_slot = session.record,
             .session = id,
             .sequence = sequence,
             .result = generation};
  if (place.entry != kNoEntry) {
    m.replaced = place.entry;
    m.replaced_generation = s.catalog.entry(place.entry).generation.load(std::memory_order_relaxed);
  }
  s.apply(session, m, named ? std::optional(hash) : std::nullopt);
  ++s.counted.publications;
  if (named) {
    append_event(s.catalog.events(), EventType::kPublish, version_of(generation), p.name);
    s.wake(hash);
  }
  return generation;
}

void Store::remove(std::uint64_t id, std::uint64_t sequence, std::string_view name, std::uint64_t generation) {
  State& s = *state_;
  s.check_open();
  Session& session = s.session(id);
  if (s.repeated(session, sequence)) return;
  check_name(name);
  const std::uint64_t hash = hash_name(name);
  const NameIndex::Place place = s.find(hash, name);
  if (place.entry == kNoEntry) throw NotFoundError("there is no tensor \"" + std::string(name) + "\"");
  const std::uint64_t present = s.catalog.entry(place.entry).generation.load(std::memory_order_relaxed);
  if (present != generation) {
    throw ReplacedError("replaced: \"" + std::string(name) + "\" has version " + std::to_string(version_of(present)) +
                            " now, not " + std::to_string(version_of(generation)),
                        present);
  }
  s.apply(session,
          {.kind = IntentKind::kDelete,
           .cell = place.cell,
           .cell_value = kTombstone,
           .replaced = place.entry,
           .replaced_generation = generation,
           .session_slot = session.record,
           .session = id,
           .sequence = sequence,
           .result = generation},
          hash);
  ++s.counted.deletions;
  append_event(s.catalog.events(), EventType::kDelete, version_of(generation), name);
  s.wake(hash);
}

// Store, then load, as the waiters do the other way round: no waiter is missed, and without one no call is made. The
// catalog's word comes after the name's, which apply() incremented: whoever has seen its change sees that of the name.
void Store::State::wake(std::uint64_t hash) const {
  Word& changes = catalog.root().changes;
  increment(changes);
  for (const auto& [id, other] : sessions) {
    if (other.segment.control().waiters.load(std::memory_order_seq_cst) == 0) continue;
    futex_wake_all(catalog.wait_word(hash));  // first: more sleep on it
    futex_wake_all(changes);
    return;
  }
}

void Store::State::wake_all() const {
  for (std::uint32_t i = 0; i < catalog.wait_words(); ++i) {
    increment(catalog.wait_word(i));
    futex_wake_all(catalog.wait_word(i));
  }
  increment(catalog.root().changes);
  futex_wake_all(catalog.root().changes);
}

}  // namespace tensorbroker::broker
