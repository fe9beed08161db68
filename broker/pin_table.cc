#include "broker/pin_table.h"

#include <algorithm>
#include <string>

#include "tensorbroker/error.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kStep = 1024;

}  // namespace

PinTable::PinTable(const Catalog& catalog)
    : table_("pins", catalog.tables().pins_offset(), sizeof(PinRecord), catalog.tables().pins_limit(), kStep) {}

void PinTable::adopt(const Catalog& catalog, const SegmentFile& file, std::uint64_t latest_ns) {
  auto records = file.read<BasicPinRecord<std::uint64_t>>(catalog.tables().pins_offset(), table_.limit());
  while (!records.empty() && records.back().generation == 0) records.pop_back();
  table_.ensure(file, records.size());
  records.resize(table_.committed());
  for (auto slot = static_cast<std::uint32_t>(records.size()); slot > 0; --slot) {
    const auto& record = records[slot - 1];
    if (record.generation == 0) {
      free_.push_back(slot - 1);
      continue;
    }
    insert(slot - 1, {.session = record.session,
                      .entry = static_cast<EntryId>(record.entry),
                      .generation = record.generation,
                      .deadline_ns = std::min(record.deadline_ns, latest_ns),
                      .token = record.token});
  }
}

std::uint32_t PinTable::take_slot(const SegmentFile& file) {
  if (free_.empty()) {
    const std::uint64_t before = table_.committed();
    if (before == table_.limit()) {
      throw OutOfMemoryError("all " + std::to_string(before) +
                             " pins of the catalog are taken: so many tensors were sent and not received yet; receive "
                             "some, or try again when their minute is over");
    }
    table_.ensure(file, before + 1);
    for (std::uint64_t slot = table_.committed(); slot > before; --slot) {
      free_.push_back(static_cast<std::uint32_t>(slot - 1));
    }
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void PinTable::add(const Catalog& catalog, const SegmentFile& file, const Pin& pin) {
  const std::uint32_t slot = take_slot(file);
  PinRecord& record = catalog.pin(slot);
  record.entry.store(pin.entry, std::memory_order_relaxed);
  record.session.store(pin.session, std::memory_order_relaxed);
  record.deadline_ns.store(pin.deadline_ns, std::memory_order_relaxed);
  record.token.store(pin.token, std::memory_order_relaxed);
  record.generation.store(pin.generation, std::memory_order_seq_cst);
  insert(slot, pin);
}

// Killed between any two of these stores, the broker leaves a pin that runs out.
bool PinTable::turn(const Catalog& catalog, const Pin& from, const Pin& to) {
  const std::uint32_t slot = find(from);
  if (slot == kNoSlot) return false;
  PinRecord& record = catalog.pin(slot);
  record.deadline_ns.store(to.deadline_ns, std::memory_order_relaxed);
  record.session.store(to.session, std::memory_order_relaxed);
  record.token.store(to.token, std::memory_order_release);
  forget(slot);
  insert(slot, to);
  return true;
}

void PinTable::remove(const Catalog& catalog, const Pin& pin) {
  if (const std::uint32_t slot = find(pin); slot != kNoSlot) drop(catalog, slot);
}

void PinTable::remove_session(const Catalog& catalog, std::uint64_t session) {
  std::vector<std::uint32_t> of_session;
  for (const auto& [slot, pin] : pins_) {
    if (pin.session == session) of_session.push_back(slot);
  }
  for (const std::uint32_t slot : of_session) drop(catalog, slot);
}

bool PinTable::expire(const Catalog& catalog, std::uint64_t now_ns) {
  const std::size_t before = pins_.size();
  while (!by_deadline_.empty() && by_deadline_.begin()->first <= now_ns) drop(catalog, by_deadline_.begin()->second);
  return pins_.size() < before;
}

std::uint64_t PinTable::count(std::uint64_t session) const {
  const auto at = counts_.find(session);
  return at != counts_.end() ? at->second : 0;
}

std::optional<std::uint64_t> PinTable::next_deadline() const {
  if (by_deadline_.empty()) return std::nullopt;
  return by_deadline_.begin()->first;
}

std::uint32_t PinTable::find(const Pin& pin) const {
  const auto at = by_purpose_.lower_bound(key_of(pin, 0));
  if (at == by_purpose_.end()) return kNoSlot;
  const std::uint32_t slot = std::get<3>(*at);
  return *at == key_of(pin, slot) && pins_.at(slot).generation == pin.generation ? slot : kNoSlot;
}

void PinTable::insert(std::uint32_t slot, const Pin& pin) {
  pins_.emplace(slot, pin);
  by_deadline_.emplace(pin.deadline_ns, slot);
  by_purpose_.insert(key_of(pin, slot));
  ++counts_[payer_of(pin)];
}

void PinTable::forget(std::uint32_t slot) {
  const auto at = pins_.find(slot);
  by_deadline_.erase({at->second.deadline_ns, slot});
  by_purpose_.erase(key_of(at->second, slot));
  if (const auto counted = counts_.find(payer_of(at->second)); --counted->second == 0) counts_.erase(counted);
  pins_.erase(at);
}

void PinTable::drop(const Catalog& catalog, std::uint32_t slot) {
  catalog.pin(slot).generation.store(0, std::memory_order_seq_cst);
  forget(slot);
  free_.push_back(slot);
}

}  // namespace tensorbroker::broker
