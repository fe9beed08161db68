// How a World is made as it was: by what clients and the broker can do.

#include <algorithm>

#include "tests/fuzz/world.h"

namespace tensorbroker::fuzz {
namespace {

using broker::Statistics;

constexpr std::size_t kSpares = 16;
constexpr std::uint32_t kLeaseCells = 256;      // that inputs write to
constexpr std::uint64_t kSequencesAhead = 256;  // as far as an input can send them out of order

EntryState state_of(const Entry& entry) { return EntryState::unpack(entry.state.load()); }

}  // namespace

bool World::clients_are_whole() const {
  for (const std::uint64_t client : clients_) {
    if (!store_.has_session(client) || !locks_.contains(client) || store_.session_info(client).parent != 0)
      return false;
  }
  // One that has sent sequence numbers far ahead cannot send others.
  for (std::uint32_t slot = 0; slot < store_.options().max_sessions; ++slot) {
    for (const auto& result : facts_.catalog->session(slot).window) {
      if (result.sequence.load() > facts_.sequence + kSequencesAhead) return false;
    }
  }
  return true;
}

bool World::settle() {
  while (connections_.size() > kClients) disconnect(connections_.size() - 1);
  store_.reclaim();
  sessions_.revoke_truncated();
  sweep();
  for (const std::uint64_t client : clients_) lock(client);
  if (!clients_are_whole()) return false;
  facts_.sequence += 2 * kSequencesAhead;
  end_guests();
  let_go_of_leases();
  delete_all();
  unpin_all();
  give_back_all();
  restore_spares();
  require_baseline();
  return attach_clients();
}

// Everybody but the clients, and one heir for each.
void World::end_guests() {
  for (const std::uint64_t id : store_.sessions()) {
    if (!store_.has_session(id) || std::find(clients_.begin(), clients_.end(), id) != clients_.end()) continue;
    const std::uint64_t parent = store_.session_info(id).parent;
    if (parent != 0 && store_.heirs_of(parent).front() == id && !locks_.contains(id)) continue;
    die(id);
    sessions_.remove(id, "the input is over");
  }
  for (const std::uint64_t client : clients_) {
    if (store_.heirs_of(client).empty()) sessions_.add_heir(client);
  }
  facts_.sessions = store_.sessions();
  for (auto at = locks_.begin(); at != locks_.end();) {
    const auto next = std::next(at);
    if (!store_.has_session(at->first)) die(at->first);
    at = next;
  }
}

void World::take_returns() {
  for (const std::uint64_t id : facts_.sessions) {
    SessionControl& control = store_.session_mapping(id).control();
    control.returns_tail.store(control.returns_head.load());
  }
}

void World::let_go_of_leases() {
  for (const std::uint64_t id : facts_.sessions) {
    const SessionSegment& segment = store_.session_mapping(id);
    segment.control().lease_high_water.store(0);
    segment.control().waiters.store(0);
    for (std::uint32_t cell = 0; cell < kLeaseCells; ++cell) segment.lease(cell).store(0);
  }
}

void World::delete_all() {
  const Catalog& catalog = store_.catalog();
  const std::uint64_t committed = catalog.root().entries_committed.load();
  for (EntryId id = 0; id < committed; ++id) {
    const Entry& entry = catalog.entry(id);
    if (state_of(entry).phase != EntryPhase::kUsed || !is_live(entry.generation.load())) continue;
    const std::string name(catalog.record(id).name);
    store_.remove(clients_[0], ++facts_.sequence, name, entry.generation.load());
  }
}

void World::unpin_all() {
  const Catalog& catalog = store_.catalog();
  // The first step of the table; an input cannot have more pins.
  for (std::uint32_t slot = 0; store_.next_pin_deadline() && slot < 1024; ++slot) {
    const PinRecord& pin = catalog.pin(slot);
    const std::uint64_t generation = pin.generation.load();
    if (generation == 0) continue;
    const auto entry = static_cast<EntryId>(pin.entry.load());
    std::uint64_t session = pin.session.load();
    if (session == 0) {
      session = clients_[0];
      store_.receive(session, entry, generation, pin.token.load());
    }
    store_.unpin(session, entry, generation);
  }
  require(!store_.next_pin_deadline(), "every pin can be unpinned");
}

void World::give_back_all() {
  while (true) {
    for (const std::uint64_t client : clients_) store_.reconcile(client, {}, spares_[client == clients_[1]]);
    take_returns();
    store_.reclaim();
    if (store_.statistics().used == 0) break;
    require(work(), "nothing is charged that nobody has");  // a grant may still be under way
  }
}

void World::restore_spares() {
  facts_.entries.clear();
  for (std::size_t i = 0; i < kClients; ++i) {
    std::erase_if(spares_[i], [&](EntryId id) {
      const Entry& entry = store_.catalog().entry(id);
      return state_of(entry).phase != EntryPhase::kSpare || entry.owner.load() != clients_[i];
    });
    const auto more = store_.grant_spares(clients_[i], static_cast<std::uint32_t>(kSpares - spares_[i].size()));
    spares_[i].insert(spares_[i].end(), more.begin(), more.end());
    facts_.entries.insert(facts_.entries.end(), spares_[i].begin(), spares_[i].end());
  }
  facts_.extents.clear();
  facts_.ranges.clear();
}

void World::require_baseline() {
  const Statistics s = store_.statistics();
  require(s.used == 0 && s.free == s.capacity, "no page is charged to nobody");
  require(s.live == 0 && s.retired == 0 && store_.retired_entries() == 0, "no entry is kept for nobody");
  require(s.tensors == 0 && s.bundles == 0, "no name is counted that is not there");
  require(s.sessions == kClients, "no session is kept for nobody");
  for (const std::uint64_t id : store_.sessions()) {
    require(store_.session_info(id).charged == 0, "no session is charged for nothing");
  }
}

// Those that lost their connection come back as they do in earnest. False where one is found truncated only now.
bool World::attach_clients() {
  for (std::size_t i = 0; i < kClients; ++i) {
    Connected& c = connections_.at(i);
    if (c.dispatch != nullptr) continue;
    c.sink = std::make_shared<Sink>(&facts_);
    c.dispatch = std::make_shared<broker::Dispatch>(services_, c.sink);
    deliver(i, hello_message(clients_[i], spares_[i]));
    if (!sessions_.has(clients_[i])) return false;
    require(connections_.at(i).dispatch != nullptr, "a living client can come back");
  }
  facts_.sessions = store_.sessions();
  return true;
}

}  // namespace tensorbroker::fuzz
