#include "broker/pin_table.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "tensorbroker/error.h"

namespace tensorbroker::broker {

PinTable::PinTable(const Catalog& catalog) {
  for (std::uint32_t slot = catalog.tables().pins_limit(); slot > 0; --slot) free_.push_back(slot - 1);
}

void PinTable::adopt(const Catalog& catalog) {
  free_.clear();
  for (std::uint32_t slot = catalog.tables().pins_limit(); slot > 0; --slot) {
    const PinRecord& record = catalog.pin(slot - 1);
    const std::uint64_t generation = record.generation.load(std::memory_order_acquire);
    if (generation == 0) {
      free_.push_back(slot - 1);
      continue;
    }
    pins_.emplace(slot - 1, Pin{.session = record.session.load(std::memory_order_relaxed),
                                .entry = static_cast<EntryId>(record.entry.load(std::memory_order_relaxed)),
                                .generation = generation,
                                .deadline_ns = record.deadline_ns.load(std::memory_order_relaxed)});
  }
}

void PinTable::add(const Catalog& catalog, const Pin& pin) {
  if (free_.empty()) {
    throw OutOfMemoryError("all " + std::to_string(pins_.size()) +
                           " pins of the catalog are taken; they run out within seconds, try again then");
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  PinRecord& record = catalog.pin(slot);
  record.entry.store(pin.entry, std::memory_order_relaxed);
  record.session.store(pin.session, std::memory_order_relaxed);
  record.deadline_ns.store(pin.deadline_ns, std::memory_order_relaxed);
  record.generation.store(pin.generation, std::memory_order_seq_cst);
  pins_.emplace(slot, pin);
}

void PinTable::remove(const Catalog& catalog, const Pin& pin) {
  const auto at = std::find_if(pins_.begin(), pins_.end(), [&](const auto& p) { return p.second.keeps_same(pin); });
  if (at != pins_.end()) drop(catalog, at);
}

void PinTable::remove_session(const Catalog& catalog, std::uint64_t session) {
  for (auto at = pins_.begin(); at != pins_.end();) {
    at = at->second.session == session ? drop(catalog, at) : std::next(at);
  }
}

void PinTable::expire(const Catalog& catalog, std::uint64_t now_ns) {
  for (auto at = pins_.begin(); at != pins_.end();) {
    at = at->second.deadline_ns <= now_ns ? drop(catalog, at) : std::next(at);
  }
}

std::optional<std::uint64_t> PinTable::next_deadline() const {
  std::optional<std::uint64_t> next;
  for (const auto& [slot, pin] : pins_) next = std::min(next.value_or(pin.deadline_ns), pin.deadline_ns);
  return next;
}

PinTable::Pins::iterator PinTable::drop(const Catalog& catalog, Pins::iterator at) {
  catalog.pin(at->first).generation.store(0, std::memory_order_seq_cst);
  free_.push_back(at->first);
  return pins_.erase(at);
}

}  // namespace tensorbroker::broker
