#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>

#include "broker/boottime.h"
#include "broker/publication.h"
#include "broker/state.h"
#include "proto/heap_record.h"

namespace tensorbroker::broker {
namespace {

using PlainSession = BasicSessionRecord<std::uint64_t>;

bool in_use(const Entry& entry) {
  return EntryState::unpack(entry.state.load(std::memory_order_relaxed)).phase == EntryPhase::kUsed;
}

bool is_paged(const Range& range) { return range.offset % kPageSize == 0 && range.bytes % kPageSize == 0; }

Range pages_around(const Range& range) {
  const std::uint64_t begin = range.offset / kPageSize * kPageSize;
  return {begin, round_up_to_page(range.end()) - begin};
}

}  // namespace

// What a killed broker left becomes this one's state. Nothing is freed before all that sessions may hold is known.
void Store::State::adopt(const IsAlive& is_alive) {
  closed = catalog.root().index.load(std::memory_order_seq_cst) == kClosedRoot;
  check_root();
  pool.give({kPageSize, options.arena_bytes - kPageSize}, Warmth::kUnknown);
  pins.adopt(catalog, file, boottime_in_seconds(Store::kSentSeconds));
  entries.adopt(catalog, file);
  heap.adopt(catalog, file);
  const std::vector<std::uint64_t> dead = adopt_sessions(is_alive);
  finish_intent();
  adopt_extents();
  adopt_entries();
  revoke(dead);
  if (!closed) {
    reclaim();
    skip_events(catalog.events());
    wake_all();
  }
}

// Lengths and counters that everything else is read by.
void Store::State::check_root() const {
  const CatalogRoot& root = catalog.root();
  const auto check = [this](bool sound, const char* what) {
    if (!sound) throw CorruptSegmentError("the root of " + file.name() + " has " + what + " that cannot be");
  };
  const IndexRoot in_force = IndexRoot::unpack(root.index.load(std::memory_order_seq_cst));
  check(closed || (in_force.region <= 1 && in_force.log2_cells < 64 && index.cells() <= catalog.view().index_limit),
        "a name index");
  check(root.entries_committed.load() <= catalog.tables().entries_limit(), "a number of entries");
  check(root.heap_committed.load() <= catalog.tables().heap_limit(), "a length of the heap");
  check(options.capacity <= options.arena_bytes - kPageSize, "a capacity");
}

void Store::State::finish_intent() {
  const std::optional<Mutation> m = read_intent(catalog.root().intent);
  if (!m || closed) return;
  const auto known = [this](EntryId id) { return id == kNoEntry || id < entries.committed(); };
  if (!known(m->entry) || !known(m->replaced) || m->session_slot >= records.committed() ||
      (m->cell != kNoCell && m->cell >= index.cells())) {
    throw CorruptSegmentError("the mutation in progress in " + file.name() + " names records that do not exist");
  }
  carry_out(catalog.view(), catalog.session(static_cast<std::uint32_t>(m->session_slot)), *m);
  spdlog::info("finished the mutation that the last broker was killed in");
}

// Maps the living sessions; returns the dead ones.
std::vector<std::uint64_t> Store::State::adopt_sessions(const IsAlive& is_alive) {
  auto plain = file.read<PlainSession>(catalog.tables().sessions_offset(), records.limit());
  while (!plain.empty() && plain.back().id == 0) plain.pop_back();
  records.ensure(file, std::max<std::uint64_t>(plain.size(), 1));
  plain.resize(records.committed());
  std::vector<std::uint32_t> used_slots;
  for (std::uint32_t slot = static_cast<std::uint32_t>(plain.size()); slot > 0; --slot) {
    if (plain[slot - 1].id == 0) free_records.push_back(slot - 1);
    if (plain[slot - 1].id != 0) used_slots.push_back(slot - 1);
  }
  std::sort(used_slots.begin(), used_slots.end(), [&](auto a, auto b) { return plain[a].id < plain[b].id; });
  const auto same = [&](auto a, auto b) { return plain[a].id == plain[b].id; };
  if (!used_slots.empty() && (std::adjacent_find(used_slots.begin(), used_slots.end(), same) != used_slots.end() ||
                              plain[used_slots.back()].id >= catalog.root().next_id.load(std::memory_order_relaxed))) {
    throw CorruptSegmentError("the sessions in " + file.name() + " have ids that were never given");
  }

  std::vector<std::uint64_t> dead;
  for (const std::uint32_t slot : used_slots) {  // parents before their heirs
    const PlainSession& record = plain[slot];
    const bool untaken_heir = record.parent != 0 && sessions.contains(record.parent);
    if ((is_alive(record.id) || untaken_heir) && adopt_session(record, slot)) continue;
    dead.push_back(record.id);
    catalog.session(slot).id.store(0, std::memory_order_seq_cst);
    free_records.push_back(slot);
  }
  return dead;
}

bool Store::State::adopt_session(const PlainSession& record, std::uint32_t slot) {
  Session adopted;
  try {
    adopted.segment = SessionSegment::open(name, record.id);
  } catch (const NotFoundError&) {
    // A record goes before its segment does, so somebody else removed it: what its client leases cannot be known.
    throw CorruptSegmentError("the segment of session " + std::to_string(record.id) +
                              " was removed; keep cleaners away from /dev/shm/tensorbroker.*");
  } catch (const CorruptSegmentError& e) {
    // Any other error is want of something here, which says nothing about the client.
    spdlog::warn("session {} is given up: {}", record.id, e.what());
    return false;
  }
  adopted.id = record.id;
  adopted.record = slot;
  adopted.uid = static_cast<uid_t>(record.uid);
  adopted.pid = static_cast<pid_t>(record.pid);
  adopted.process = record.process;
  adopted.origin = record.origin;
  // One whose parent is gone, the last broker having been killed before it had promoted it, is nobody's heir any more.
  adopted.parent = sessions.contains(record.parent) ? record.parent : 0;
  catalog.session(slot).parent.store(adopted.parent, std::memory_order_seq_cst);
  const auto at = sessions.emplace(record.id, std::move(adopted)).first;
  accounts.open(record.id, at->second.uid);
  if (hooks.mapped) hooks.mapped(at->second.segment);
  const SessionControl& control = at->second.segment.control();
  const std::uint64_t leases = control.leases_committed.load(std::memory_order_acquire);
  at->second.leases_committed = static_cast<std::uint32_t>(std::min<std::uint64_t>(leases, kLeasesLimit));
  accounts.charge(record.id, use_of_leases(at->second));
  at->second.returns_head = control.returns_head.load(std::memory_order_acquire);
  return true;
}

void Store::State::adopt_extents() {
  extents.adopt(catalog, file, [this](std::uint32_t id, Extent& extent) { return keep_extent(id, extent); });
  for (auto& [id, owner] : sessions) {
    std::vector<bool> taken(owner.slots_used);
    for (const std::uint32_t extent : owner.extents) {
      auto&& slot = taken[extents.find(extent)->slot];
      if (slot) throw CorruptSegmentError("two extents of session " + std::to_string(id) + " have one state word");
      slot = true;
    }
    for (std::uint32_t slot = 0; slot < owner.slots_used; ++slot) {
      if (!taken[slot]) owner.free_slots.push_back(slot);
    }
  }
}

bool Store::State::keep_extent(std::uint32_t id, Extent& extent) {
  const auto at = sessions.find(extent.owner);
  if (at == sessions.end()) return false;
  Session& owner = at->second;
  const Range arena_pages{kPageSize, options.arena_bytes - kPageSize};
  if (extent.slot >= kExtentStatesLimit || extent.range.empty() || !is_paged(extent.range) ||
      extent.range.bytes > arena_pages.bytes || !arena_pages.contains(extent.range)) {
    throw CorruptSegmentError("extent " + std::to_string(id) + " in " + file.name() + " lies outside the arena");
  }
  const std::uint64_t free = pool.free_bytes();
  pool.exclude(extent.range);
  if (free - pool.free_bytes() != extent.range.bytes) {
    throw CorruptSegmentError("extent " + std::to_string(id) + " in " + file.name() + " lies where another one does");
  }
  owner.extents.insert(id);
  owner.slots_used = std::max(owner.slots_used, extent.slot + 1);
  const auto slots = static_cast<std::uint32_t>(round_up(owner.slots_used, kPageSize / sizeof(Word)));
  owner.slots_committed = std::max(owner.slots_committed, slots);
  used += extent.range.bytes;
  owner.charged += extent.range.bytes;
  return true;
}

// Which entries a cell of the index names.
std::vector<bool> Store::State::adopt_index() {
  std::vector<bool> named(entries.committed());
  if (closed) return named;
  std::vector<std::uint64_t> stray;
  index.count([&](std::uint64_t position, std::uint64_t cell) {
    const EntryId id = cell_entry(cell);
    const bool sound =
        id < named.size() && !named[id] && in_use(catalog.entry(id)) && is_live(catalog.entry(id).generation.load());
    if (sound) named[id] = true;
    if (!sound) stray.push_back(position);
  });
  if (!stray.empty()) {
    throw CorruptSegmentError("cell " + std::to_string(stray.front()) + " of the name index in " + file.name() +
                              " names an entry that is not published");
  }
  return named;
}

void Store::State::adopt_entries() {
  const std::vector<bool> named = adopt_index();
  for (EntryId id = 0; id < named.size(); ++id) {
    Entry& entry = catalog.entry(id);
    const EntryPhase phase = EntryState::unpack(entry.state.load(std::memory_order_relaxed)).phase;
    const auto owner = sessions.find(entry.owner.load(std::memory_order_relaxed));
    if (phase == EntryPhase::kUsed) {
      adopt_used_entry(id, named[id]);
    } else if (phase == EntryPhase::kSpare && owner != sessions.end()) {
      owner->second.spares.insert(id);
    } else {
      entries.release(catalog, id);
    }
  }
  // Only now is it known which extents hold nothing: what was taken from their owners stays taken.
  for (const auto& [id, extent] : std::map<std::uint32_t, Extent>(extents.all())) {
    Session& owner = sessions.at(extent.owner);
    const std::uint64_t state = owner.segment.extent_state(extent.slot).load(std::memory_order_seq_cst);
    if (state != static_cast<std::uint64_t>(ExtentState::kTaken)) continue;
    if (!blocks.covered_pages(extent.range).empty()) continue;
    extents.mark_taken(id);
    taken_to_punch.push_back(extent.range);
    used -= extent.range.bytes;
    owner.charged -= extent.range.bytes;
  }
}

// Whether the block lies in one extent, or in none and on pages of none, and where no other does.
bool Store::State::is_sound(const Range& block) const {
  if (block.empty()) return true;
  if (block.bytes > options.arena_bytes || block.offset > options.arena_bytes - block.bytes) return false;
  if (block.offset < kPageSize || blocks.overlapping(block) != kNoEntry) return false;
  return extents.containing(block) != nullptr || !extents.overlaps(pages_around(block));
}

// Whether the entry's header is one that was stored for it.
bool Store::State::has_sound_header(EntryId id) const {
  const Entry& entry = catalog.entry(id);
  const auto bytes = catalog.heap_bytes(HeapRef::unpack(entry.header.load(std::memory_order_relaxed)));
  HeapRecord record;
  if (!heap_record_intact(bytes) || !read_heap_record(bytes, &record)) return false;
  const std::uint64_t generation = entry.generation.load();
  if (record.generation != tensorbroker::retired(generation)) return false;
  return version_of(generation) < catalog.root().next_generation.load();
}

// Whether a block is the last one that went back to its owner: the broker may have been killed between giving it back
// and freeing its entry.
bool Store::State::was_returned(const Range& block, std::uint64_t generation) const {
  const Extent* const extent = extents.containing(block);
  if (block.empty() || extent == nullptr) return false;
  const Session& owner = sessions.at(extent->owner);
  if (owner.returns_head == 0) return false;
  const BlockReturn& last = owner.segment.block_return(owner.returns_head - 1);
  return last.block_offset.load(std::memory_order_relaxed) == block.offset &&
         last.generation.load(std::memory_order_relaxed) == tensorbroker::retired(generation);
}

void Store::State::adopt_used_entry(EntryId id, bool named) {
  Entry& entry = catalog.entry(id);
  // Its owner may write there by now, and a reader's lease that came too late may still keep the entry.
  if (!named && was_returned(block_of(id), entry.generation.load())) {
    entry.block_bytes.store(0, std::memory_order_relaxed);
  }
  const Range block = block_of(id);
  const HeapRef header = HeapRef::unpack(entry.header.load(std::memory_order_relaxed));
  if (!is_sound(block) || !heap.claim(header) || !has_sound_header(id) || (named && !adopt_name(id))) {
    throw CorruptSegmentError("entry " + std::to_string(id) + " in " + file.name() +
                              " names a block or a header that is not sound");
  }
  blocks.insert(block, id);
  if (!block.empty() && extents.containing(block) == nullptr) {
    // Pages that a neighbour in the pool's stead was counted for already are out of it.
    const std::uint64_t before = pool.free_bytes();
    pool.exclude(pages_around(block));
    used += before - pool.free_bytes();
    charge_block(id, block);
  }
  accounts.charge(entry.owner.load(std::memory_order_relaxed), use_of_records(id));
  if (named) {
    counted.live += block.bytes;
    count_name(id, true);
    return;
  }
  entry.generation.store(tensorbroker::retired(entry.generation.load()), std::memory_order_seq_cst);
  retire(id);
}

void Store::State::revoke(const std::vector<std::uint64_t>& dead) {
  extents.clear_declined(catalog);
  std::set<std::uint64_t> unknown;
  for (const auto& [slot, pin] : pins.all()) {
    if (pin.session != 0 && !sessions.contains(pin.session)) unknown.insert(pin.session);
  }
  for (const std::uint64_t id : unknown) pins.remove_session(catalog, id);
  for (const std::uint64_t id : dead) unlink_segment(name.segment(SegmentKind::kSession, id));
}

}  // namespace tensorbroker::broker
