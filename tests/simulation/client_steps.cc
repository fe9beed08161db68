// What clients do: mostly what the client library does, and now and then what they must not.

#include <algorithm>
#include <iterator>

#include "tests/simulation/simulation.h"

namespace tensorbroker::simulation {
namespace {

constexpr std::size_t kMostHolds = 12;
constexpr std::size_t kMostSent = 32;

}  // namespace

Request Simulation::numbered(Client& client, Request request) {
  request.sequence = client.next_sequence++;
  return request;
}

// Names that come again and again, and sometimes one that the index has not seen yet.
std::string Simulation::choose_name() {
  if (random_.one_in(4)) return "rare/" + std::to_string(random_.below(4000));
  return "name/" + std::to_string(random_.below(20));
}

std::uint64_t Simulation::choose_bytes() {
  const std::uint64_t roll = random_.below(100);
  if (roll < 5) return 0;
  if (roll < 60) return 8 + random_.below(2000);
  if (roll < 80) return 1 + random_.below(16'000);
  if (roll < 95) return 1 + random_.below(150'000);
  return 1 + random_.below(1'500'000);
}

// Mostly one that is there.
std::pair<EntryId, std::uint64_t> Simulation::choose_entry() {
  const auto& entries = world_.model.entries();
  if (entries.empty() || random_.one_in(10)) return {static_cast<EntryId>(random_.below(1024)), random_.next()};
  const auto at = std::next(entries.begin(), static_cast<std::ptrdiff_t>(random_.below(entries.size())));
  return {at->first, random_.one_in(20) ? at->second.generation + 2 : at->second.generation};
}

// ---------------------------------------------------------------- choosing

void Simulation::act(Client& client) {
  if (catch_up(client)) return;
  const std::uint64_t roll = random_.below(1000);
  if (roll < 420) return act_offline(client);
  if (roll < 750) return publish(client);
  if (roll < 800) return remove(client);
  if (roll < 820) return repeat(client);
  if (roll < 860) return pin(client);
  if (roll < 885) return send_handle(client);
  if (roll < 910) return receive(client);
  if (roll < 940) return ask_several(client);
  if (roll < 998) return ask_something(client);
  break_protocol(client);
}

// What needs no broker.
void Simulation::act_offline(Client& client) {
  const std::uint64_t roll = random_.below(100);
  if (client.holds.size() >= kMostHolds || (roll < 45 && !client.holds.empty())) {
    const std::size_t at = random_.below(client.holds.size());
    note("lets go", &client, client.holds[at].entry);
    return client.release(at);
  }
  if (roll < 95) {
    note("gets", &client);
    return client.get(choose_name());
  }
  note("takes its returns", &client);
  client.take_returns();
}

// What has to come first, after a reply or a new connection.
bool Simulation::catch_up(Client& client) {
  if (!client.unanswered.empty()) {
    const Client::Unanswered again = client.unanswered.front();
    client.unanswered.pop_front();
    if (again.draft && random_.one_in(8)) {
      note("gives up what was not answered", &client, again.request.entry);
      client.give_up(*again.draft);
    } else {
      send("asks again", client, {again.request}, again.draft);
    }
    return true;
  }
  if (!client.to_give_back.empty()) {
    Request request{.kind = schema::Request::GiveBack};
    for (const auto& [extent, keep] : std::exchange(client.to_give_back, {})) {
      request.extents.push_back(extent);
      request.keeps.push_back(keep);
    }
    send("GiveBack", client, {numbered(client, std::move(request))});
    return true;
  }
  if (!client.to_unpin.empty() && random_.one_in(3)) {
    const auto [entry, generation] = client.to_unpin.back();
    client.to_unpin.pop_back();
    const Request request =
        numbered(client, {.kind = schema::Request::Unpin, .entry = entry, .generation = generation});
    if (send("Unpin", client, {request})) client.pinned.erase(entry);
    return true;
  }
  if ((client.used_heir != 0 || client.heir == 0) && random_.one_in(20)) {
    send("NextHeir", client, {numbered(client, {.kind = schema::Request::NextHeir, .session = client.used_heir})});
    return true;
  }
  return false;
}

// ---------------------------------------------------------------- publishing

void Simulation::publish(Client& client) {
  if (client.draft)
    return random_.one_in(20) ? (note("discards a draft", &client), client.discard_draft()) : publish_draft(client);
  if (client.spares.empty()) {
    const auto count = static_cast<std::uint32_t>(1 + random_.below(8));
    send("Spares", client, {numbered(client, {.kind = schema::Request::Spares, .count = count})});
    return;
  }
  if (client.awaits_grant) return act_offline(client);
  if (client.wanted != 0) {
    const std::uint64_t bytes = std::exchange(client.wanted, 0);
    send("Grant", client, {numbered(client, {.kind = schema::Request::Grant, .bytes = bytes})});
    return;
  }
  note("makes a draft", &client);
  client.make_draft(choose_bytes(), random_.one_in(8), ++last_seed_);
}

void Simulation::publish_draft(Client& client) {
  client.draft->floor = world_.model.next_generation() << 1;
  Request request = client.publication_of(*client.draft);
  if (!random_.one_in(8)) {
    request.by_name = true;
    request.name = choose_name();
  }
  if (request.bytes > 0 && random_.one_in(8)) {
    request.is_bundle = true;
    request.header = header_of(request.bytes, true);
  }
  request.overwrite = !random_.one_in(16);
  if (random_.one_in(12)) spoil(client, request);
  send("Publish", client, {numbered(client, std::move(request))}, std::exchange(client.draft, std::nullopt));
}

// Makes it one that is to be refused, in one of several ways.
void Simulation::spoil(Client& client, Request& request) {
  switch (random_.below(7)) {
    case 0:
      request.entry = static_cast<EntryId>(random_.below(2048));
      if (!world_.model.sessions().at(client.session).spares.contains(request.entry)) return;
      request.entry = kNoEntry;
      return;
    case 1:
      request.header = header_of(request.bytes + 4096, request.is_bundle);
      request.is_sound = false;
      return;
    case 2:
      request.block_offset += 8;
      return;
    case 3:
      request.block_offset += std::uint64_t{1} << 40;
      return;
    case 4: {
      const auto& entries = world_.model.entries();
      const auto at = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
        return entry.second.is_live() && !entry.second.block.empty();
      });
      if (at != entries.end() && request.bytes > 0) request.block_offset = at->second.block.offset;
      return;
    }
    case 5: {
      for (const auto& [id, extent] : world_.model.extents()) {
        if (extent.owner != client.session && request.bytes > 0) request.block_offset = extent.range.offset;
      }
      return;
    }
    default:
      request.by_name = true;
      request.name = random_.one_in(2) ? std::string() : random_.one_in(2) ? "bell\a" : std::string(256, 'n');
  }
}

void Simulation::remove(Client& client) {
  Request request{.kind = schema::Request::Delete, .by_name = true};
  const auto& names = world_.model.names();
  request.name = choose_name();
  if (!names.empty() && !random_.one_in(8)) {
    request.name = std::next(names.begin(), static_cast<std::ptrdiff_t>(random_.below(names.size())))->first;
  }
  if (const auto at = names.find(request.name); at != names.end()) {
    request.generation = world_.model.entries().at(at->second).generation;
  }
  if (random_.one_in(10)) request.generation += 2;
  send("Delete", client, {numbered(client, std::move(request))});
}

// A request that was answered before, with the number that it had.
void Simulation::repeat(Client& client) {
  if (client.history.empty()) return act_offline(client);
  Request request = random_.pick(client.history);
  if (random_.one_in(50)) request.sequence = 0;
  send("repeats what was answered", client, {request});
}

// ---------------------------------------------------------------- handles

void Simulation::pin(Client& client) {
  Request request{.kind = schema::Request::Pin};
  if (random_.one_in(2)) {
    request.by_name = true;
    request.name = random_.one_in(30) ? std::string("bell\a") : choose_name();
    const auto at = world_.model.names().find(request.name);
    if (at != world_.model.names().end() && !client.pinned.insert(at->second).second) return act_offline(client);
  } else {
    std::tie(request.entry, request.generation) = choose_entry();
    if (!client.pinned.insert(request.entry).second) return act_offline(client);
  }
  send("Pin", client, {numbered(client, std::move(request))});
}

void Simulation::send_handle(Client& client) {
  if (client.holds.empty()) return act_offline(client);
  const Hold& hold = random_.pick(client.holds);
  Request request{.kind = schema::Request::Send,
                  .entry = hold.entry,
                  .generation = hold.generation,
                  .token = random_.one_in(40) ? 0 : random_.next()};
  if (!world_.sent.empty() && random_.one_in(8)) {
    const World::Sent& again = random_.pick(world_.sent);
    std::tie(request.entry, request.generation, request.token) = std::tie(again.entry, again.generation, again.token);
  }
  if (world_.sent.size() == kMostSent) world_.sent.erase(world_.sent.begin());
  world_.sent.push_back({request.entry, request.generation, request.token});
  send("Send", client, {numbered(client, std::move(request))});
}

void Simulation::receive(Client& client) {
  if (world_.sent.empty()) return act_offline(client);
  const World::Sent& sent = random_.pick(world_.sent);
  if (sent.token == 0 || !client.pinned.insert(sent.entry).second) return act_offline(client);
  const Request request{.kind = schema::Request::Pin,
                        .entry = sent.entry,
                        .generation = sent.generation,
                        .token = random_.one_in(10) ? random_.next() : sent.token};
  send("Pin of what was sent", client, {numbered(client, request)});
}

// ---------------------------------------------------------------- the rest

Request Simulation::simple_request(const Client& client) {
  Request request;
  switch (random_.below(5)) {
    case 0:
      request.kind = schema::Request::Holders;
      std::tie(request.entry, request.generation) = choose_entry();
      return request;
    case 1:
      request.kind = schema::Request::Spares;
      request.count = static_cast<std::uint32_t>(random_.one_in(30) ? 300 : random_.below(3));
      return request;
    case 2:
      request.kind = schema::Request::GiveBack;
      request.extents = {static_cast<std::uint32_t>(random_.below(64))};
      // Its own it does not give back by chance.
      if (const auto at = world_.model.extents().find(request.extents[0]);
          at != world_.model.extents().end() && at->second.owner == client.session) {
        request.extents.push_back(request.extents[0]);
      } else if (random_.one_in(2)) {
        request.keeps.push_back(random_.below(64) * kPageSize);
      }
      return request;
    case 3:
      request.kind = schema::Request::Unpin;
      std::tie(request.entry, request.generation) = choose_entry();
      return request;
    default:
      request.kind = schema::Request::Stats;
      return request;
  }
}

void Simulation::ask_several(Client& client) {
  std::vector<Request> requests;
  for (std::uint64_t count = 2 + random_.below(3); count > 0; --count) {
    requests.push_back(numbered(client, simple_request(client)));
  }
  send("several requests", client, requests);
}

void Simulation::ask_something(Client& client) {
  if (random_.one_in(5000)) {
    const bool keep = !random_.one_in(4);
    send(keep ? "Stop that keeps" : "Stop", client, {numbered(client, {.kind = schema::Request::Stop, .keep = keep})});
    return;
  }
  if (random_.one_in(40)) {
    const auto cells = static_cast<std::uint32_t>(random_.below(8192));
    send("GrowLeases", client, {numbered(client, {.kind = schema::Request::GrowLeases, .count = cells})});
    return;
  }
  if (random_.one_in(20)) {
    const std::uint64_t bytes = random_.one_in(4) ? 0 : random_.below(std::uint64_t{6} << 20);
    if (client.awaits_grant) return act_offline(client);
    send("Grant", client, {numbered(client, {.kind = schema::Request::Grant, .bytes = bytes})});
    return;
  }
  const bool rings = random_.one_in(3);
  send(rings ? "Ring" : "a request", client,
       {numbered(client, rings ? Request{.kind = schema::Request::Ring} : simple_request(client))});
}

void Simulation::break_protocol(Client& client) {
  note("breaks the protocol", &client);
  const Request stray =
      client.is_attached || client.is_welcomed ? client.hello() : Request{.kind = schema::Request::Locked};
  std::vector<std::byte> frame = message_of({stray});
  if (random_.one_in(2)) frame.resize(random_.below(8));
  world_.send_frame(client, frame);
}

}  // namespace tensorbroker::simulation
