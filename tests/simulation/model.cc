// The model's beginnings, and what clients change without asking.

#include "tests/simulation/model.h"

#include <algorithm>

#include "tests/simulation/kernel.h"
#include "tests/simulation/violation.h"

namespace tensorbroker::simulation {

void Model::end() {
  const std::uint64_t last_generation = next_generation_;
  *this = Model();
  next_generation_ = last_generation;
}

void Model::begin(broker::Store& store) {
  store_ = &store;
  require(store.options().created_us >= next_generation_, "versions of a later instance are higher", next_generation_);
  next_generation_ = store.options().created_us;
  last_session_ = store.arena_id();
}

// A successor wakes everybody, leaves a gap of events, does not know who paid for what the dead published, and keeps no
// pin for longer than a sent one.
void Model::adopted(broker::Store& store) {
  store_ = &store;
  grants_.clear();
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    const auto [id, session] = *at++;
    const bool is_heir = session.parent != 0 && sessions_.contains(session.parent);
    const bool lives = is_heir || Kernel::current()->is_locked_by_client(session.segment);
    require(store.has_session(id) == lives, "a successor keeps those who live, and nobody else", id);
    if (!lives) remove_session(id);
  }
  for (auto& [id, entry] : entries_) {
    if (!sessions_.contains(entry.publisher)) entry.payer = store.name().uid;
  }
  constexpr std::uint64_t kSentNs = broker::Store::kSentSeconds * 1'000'000'000ULL;
  for (ModelPin& pin : pins_) pin.deadline_ns = std::min(pin.deadline_ns, Kernel::current()->now_ns + kSentNs);
  events_ += store.catalog().events().limit + 1;
  ++changes_;
  observe();
}

void Model::lease(std::uint64_t session, std::uint32_t cell, EntryId entry) {
  sessions_.at(session).leases[cell] = entry;
  ++leased_[entry];
}

void Model::release(std::uint64_t session, std::uint32_t cell) {
  auto& leases = sessions_.at(session).leases;
  const auto at = leases.find(cell);
  if (--leased_[at->second] == 0) leased_.erase(at->second);
  leases.erase(at);
}

void Model::fork(std::uint64_t parent, std::uint64_t heir) {
  for (const auto& [cell, entry] : sessions_.at(parent).leases) lease(heir, cell, entry);
}

bool Model::is_held(EntryId entry) const {
  if (leased_.contains(entry)) return true;
  const std::uint64_t now = Kernel::current()->now_ns;
  return std::any_of(pins_.begin(), pins_.end(),
                     [&](const ModelPin& pin) { return pin.entry == entry && pin.deadline_ns > now; });
}

}  // namespace tensorbroker::simulation
