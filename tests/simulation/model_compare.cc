// Everything that the broker holds against everything that the model does.

#include <algorithm>

#include "proto/limits.h"
#include "proto/name.h"
#include "proto/name_beginnings.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/model.h"
#include "tests/simulation/violation.h"

namespace tensorbroker::simulation {
namespace {

std::uint64_t get(const Word& word) { return word.load(std::memory_order_relaxed); }

}  // namespace

void Model::compare() {
  store_->reclaim();
  observe();
  expire_pins();
  require_reclaimed();
  compare_statistics();
  compare_charges();
  compare_entries();
  compare_names();
  compare_extents();
  compare_pins();
  compare_events();
  compare_windows();
}

void Model::compare_statistics() const {
  const broker::Statistics s = store_->statistics();
  broker::Statistics expected;
  for (const auto& [id, entry] : entries_) {
    (entry.is_live() ? expected.live : expected.retired) += entry.block.bytes;
    if (entry.is_live()) ++(entry.is_bundle ? expected.bundles : expected.tensors);
  }
  for (const auto& [id, session] : sessions_) {
    expected.sessions += session.parent == 0 ? 1 : 0;
    expected.leases += session.leases.size();
  }
  for (const ModelPin& pin : pins_) ++(pin.session == 0 ? expected.sent : expected.pins);
  const std::uint64_t capacity = store_->options().capacity;
  require(s.capacity == capacity && s.used == used(), "what is used is what somebody has", s.used);
  require(s.free == capacity - std::min(capacity, s.used), "what is not used is free", s.free);
  require(s.live == expected.live && s.retired == expected.retired, "bytes are counted as they are", s.live);
  require(s.tensors == expected.tensors && s.bundles == expected.bundles, "names are counted as they are", s.tensors);
  require(s.sessions == expected.sessions, "sessions are counted as they are", s.sessions);
  require(s.leases == expected.leases, "leases are counted as they are", s.leases);
  require(s.pins == expected.pins && s.sent == expected.sent, "pins are counted as they are", s.pins);
  const auto retired_entries =
      std::count_if(entries_.begin(), entries_.end(), [](const auto& entry) { return !entry.second.is_live(); });
  require(store_->retired_entries() == static_cast<std::size_t>(retired_entries), "no retired entry is forgotten");
}

void Model::compare_answer(const schema::Statistics& reply) const {
  require(reply.capacity() == store_->options().capacity && reply.used() == used(), "what is used is answered",
          reply.used());
  std::uint64_t live = 0;
  for (const auto& [id, entry] : entries_) live += entry.is_live() ? entry.block.bytes : 0;
  require(reply.live() == live, "what lives is answered", reply.live());
  require(reply.tensors() + reply.bundles() == names_.size(), "how many names there are is answered", reply.tensors());
}

void Model::compare_charges() const {
  const auto uses = this->uses();
  for (const auto& [id, session] : sessions_) {
    const broker::Use charged = store_->charged_to(id);
    const auto at = uses.find(id);
    const Use expected = at != uses.end() ? at->second : Use{};
    require(charged.bytes == expected.bytes, "a session is charged for the bytes that it has", id);
    require(charged.tensors == expected.tensors, "a session is charged for the tensors that it has", id);
    require(session.parent == 0 || session.lease_cells >= sessions_.at(session.parent).lease_cells,
            "an heir has room for its parent's leases", id);
  }
}

void Model::compare_entries() const {
  const Catalog& catalog = store_->catalog();
  const std::uint64_t committed = get(catalog.root().entries_committed);
  std::size_t used_entries = 0;
  std::size_t spare_entries = 0;
  for (EntryId id = 0; id < committed; ++id) {
    const Entry& entry = catalog.entry(id);
    switch (EntryState::unpack(get(entry.state)).phase) {
      case EntryPhase::kFree:
        break;
      case EntryPhase::kSpare: {
        const auto owner = sessions_.find(get(entry.owner));
        require(owner != sessions_.end() && owner->second.spares.contains(id), "a spare is somebody's", id);
        ++spare_entries;
        break;
      }
      case EntryPhase::kUsed: {
        const auto at = entries_.find(id);
        require(at != entries_.end(), "an entry in use was published", id);
        const ModelEntry& expected = at->second;
        require(get(entry.generation) == expected.generation && get(entry.owner) == expected.publisher &&
                    get(entry.block_bytes) == expected.block.bytes && get(entry.block_offset) == expected.block.offset,
                "an entry is what was published", id);
        require(catalog.record(id).name == expected.name, "an entry has the name that it was published with", id);
        ++used_entries;
      }
    }
  }
  require(used_entries == entries_.size(), "no entry is lost", used_entries);
  std::size_t spares = 0;
  for (const auto& [id, session] : sessions_) spares += session.spares.size();
  require(spare_entries == spares, "no spare is lost", spare_entries);
  require(get(catalog.root().next_generation) == next_generation_, "versions go up one by one", next_generation_);
}

void Model::compare_names() const {
  const Catalog& catalog = store_->catalog();
  const IndexRoot index = IndexRoot::unpack(get(catalog.root().index));
  std::size_t named = 0;
  for (std::uint64_t i = 0; i < std::uint64_t{1} << index.log2_cells; ++i) {
    const std::uint64_t cell = get(catalog.view().index[index.region][i]);
    if (!cell_is_entry(cell)) continue;
    ++named;
    const auto at = entries_.find(cell_entry(cell));
    require(at != entries_.end() && at->second.is_live() && names_.at(at->second.name) == at->first,
            "a name leads to what was published last under it", cell_entry(cell));
    require(get(catalog.view().beginnings[index.region][i]) == beginnings_of(at->second.name),
            "a name is listed by its beginnings", cell_entry(cell));
  }
  require(named == names_.size(), "no name is lost, and none is there twice", named);
}

void Model::compare_extents() const {
  const Catalog& catalog = store_->catalog();
  constexpr std::uint32_t kLookedAt = kPageSize / sizeof(ExtentRecord);
  std::size_t recorded = 0;
  for (std::uint32_t id = 0; id < kLookedAt; ++id) recorded += get(catalog.extent(id).owner) != 0 ? 1 : 0;
  for (const auto& [id, extent] : extents_) {
    const ExtentRecord& record = catalog.extent(id);
    require(get(record.owner) == extent.owner && get(record.offset) == extent.range.offset &&
                get(record.bytes) == extent.range.bytes && get(record.slot) == extent.slot,
            "what is granted is on record", id);
    recorded += id >= kLookedAt ? 1 : 0;
  }
  require(recorded == extents_.size(), "no extent is on record that nobody has", recorded);
}

void Model::compare_pins() {
  const Catalog& catalog = store_->catalog();
  constexpr std::uint32_t kLookedAt = 1024;  // as many as have memory: there are never more
  std::vector<ModelPin> recorded;
  for (std::uint32_t slot = 0; slot < kLookedAt; ++slot) {
    const PinRecord& pin = catalog.pin(slot);
    if (get(pin.generation) == 0) continue;
    recorded.push_back({.session = get(pin.session),
                        .entry = static_cast<EntryId>(get(pin.entry)),
                        .generation = get(pin.generation),
                        .deadline_ns = get(pin.deadline_ns),
                        .token = get(pin.token)});
  }
  require(recorded.size() == pins_.size(), "no pin is lost or forgotten", recorded.size());
  // A successor shortens a pin that lasts too long without noting it down.
  const auto without_deadline = [](std::vector<ModelPin> pins) {
    for (ModelPin& pin : pins) pin.deadline_ns = 0;
    std::sort(pins.begin(), pins.end());
    return pins;
  };
  require(without_deadline(recorded) == without_deadline(pins_), "pins keep what they were made for");
  std::uint64_t next = ~std::uint64_t{0};
  for (const ModelPin& pin : pins_) next = std::min(next, pin.deadline_ns);
  require(store_->next_pin_deadline().value_or(~std::uint64_t{0}) == next, "pins run out when they should", next);
}

void Model::compare_events() {
  const EventRing& ring = store_->catalog().events();
  require(get(*ring.count) == events_, "every change has an event", events_);
  require(get(store_->catalog().root().changes) == changes_, "every change increments the catalog's word", changes_);
  for (const auto& [number, expected] : expected_events_) {
    const auto found = read_event(ring, number);
    if (!found && events_ - number >= ring.limit) continue;  // the ring has gone on beyond it
    require(found.has_value(), "the last events are there to be read", number);
    require(found->type == expected.type && found->version == expected.version && found->name == expected.name,
            "events come whole and in order", number);
  }
  expected_events_.clear();
}

void Model::compare_windows() const {
  const Catalog& catalog = store_->catalog();
  std::size_t recorded = 0;
  for (std::uint32_t slot = 0; slot < store_->options().max_sessions; ++slot) {
    const SessionRecord& record = catalog.session(slot);
    const auto at = sessions_.find(get(record.id));
    if (get(record.id) == 0) continue;
    require(at != sessions_.end(), "a session on record is there", get(record.id));
    require(get(record.uid) == at->second.uid && get(record.parent) == at->second.parent, "a session is on record",
            at->first);
    for (std::size_t i = 0; i < kWindow; ++i) {
      require(get(record.window[i].sequence) == at->second.window[i].sequence &&
                  get(record.window[i].value) == at->second.window[i].value,
              "results are kept for who asks again", at->first);
    }
    ++recorded;
  }
  require(recorded == sessions_.size(), "every session is on record", recorded);
}

void Model::require_pages_add_up() const {
  std::uint64_t bytes = pages_without_extent() + store_->statistics().pooled;
  for (const auto& [id, extent] : extents_) bytes += extent.range.bytes;
  require(bytes == store_->options().arena_bytes - kPageSize, "every page of the arena is in one place", bytes);
}

}  // namespace tensorbroker::simulation
